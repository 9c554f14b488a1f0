import numpy as np
import pytest
import torch

from cache_kd.views.ops.inside import in_box


@pytest.mark.parametrize("channels", [1, 3])
def test_the_box_is_the_plain_slice(channels):
    boxes = [(0, 0, 7, 9), (2, 3, 4, 5), (6, 8, 1, 1), (1, 1, 0, 4), (-2, -3, 5, 6), (5, 7, 10, 10), (-9, 0, 5, 5)]
    inside = in_box(torch.tensor(boxes), 7, 9, channels).numpy()
    for (top, left, height, width), mask in zip(boxes, inside, strict=True):
        expected = np.zeros((7, 9, channels), np.uint8)
        expected[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 255
        np.testing.assert_array_equal(mask, expected)


def test_no_rows_give_no_mask():
    assert in_box(torch.zeros(0, 4, dtype=torch.int64), 7, 9, 3).shape == (0, 7, 9, 3)
