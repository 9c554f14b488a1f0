import pytest
import torch
from torchvision.transforms.v2 import functional

from cache_kd.views.ops.pointwise import invert, posterize, solarize

VALUES = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("bits", range(9))
def test_posterize_is_torchvisions(bits):
    assert torch.equal(posterize(VALUES, torch.tensor([bits])), functional.posterize(VALUES, bits))


def test_solarize_is_torchvisions():
    for threshold in range(256):
        assert torch.equal(solarize(VALUES, torch.tensor([threshold])), functional.solarize(VALUES, threshold))


def test_invert_is_255_minus_the_value():
    assert torch.equal(invert(VALUES), 255 - VALUES)


def test_each_row_has_its_own_parameter():
    rows = VALUES.expand(3, -1, -1, -1)
    assert posterize(rows, torch.tensor([0, 1, 8])).amax((1, 2, 3)).tolist() == [0, 128, 255]
    assert solarize(rows, torch.tensor([0, 128, 255])).amax((1, 2, 3)).tolist() == [255, 127, 254]
