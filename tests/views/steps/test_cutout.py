import numpy as np
import pytest
import torch
from distributions import assert_uniform

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_step


@pytest.mark.parametrize("size", [1, 4, 5, 40])
def test_the_square_is_the_plain_slice_around_its_centre(size, make_pictures):
    step = make_step({"name": "cutout", "size": size})
    centres = np.array([(row, column) for row in (0, 1, 6, 10) for column in (0, 3, 12)])
    pictures = make_pictures(len(centres), height=11, width=13) | 1
    changed = step.apply(torch.from_numpy(pictures), torch.from_numpy(centres)).numpy()
    for picture, (row, column), view in zip(pictures, centres, changed, strict=True):
        top, left = row - size // 2, column - size // 2
        picture[max(top, 0) : top + size, max(left, 0) : left + size] = 0
        np.testing.assert_array_equal(view, picture)


def test_every_pixel_is_as_likely_a_centre():
    row, column = make_step("cutout").draw(words(3, "test", np.arange(60_000), 0, 2), 15, 20).T
    assert_uniform(row * 20 + column, 300)


def test_a_square_without_pixels_is_refused():
    with pytest.raises(ConfigError, match="size"):
        make_step({"name": "cutout", "size": 0})
