import pytest
import torch
from natural import by_torchvision, difference, natural
from torchvision.transforms.v2 import functional

from cache_kd.views.ops.fixed import ONE
from cache_kd.views.ops.sharpness import THIRTEENTH, sharpness


def _sharpened(pixels, factor):
    return sharpness(pixels, torch.full((len(pixels),), round(factor * ONE)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.01, 0.1, 0.73, 1.27, 1.99])
def test_it_is_torchvisions_within_one_on_few_values(channels, factor):
    pixels = natural(6, 32, 41, channels)
    theirs = by_torchvision(functional.adjust_sharpness, pixels, factor)
    share, most = difference(_sharpened(pixels, factor), theirs)
    assert share < 0.06
    assert most <= 1


def test_smooth_is_the_rounded_mean_of_thirteen():
    pixels = natural(3, 14, 15)
    smooth = _sharpened(pixels, 0)
    for row, column in ((1, 1), (7, 8), (12, 13)):
        around = pixels[:, row - 1 : row + 2, column - 1 : column + 2].long().sum((1, 2))
        expected = (around + 4 * pixels[:, row, column].long() + 6) // 13
        assert torch.equal(smooth[:, row, column].long(), expected)


def test_the_thirteenth_is_exact_for_every_sum():
    sums = torch.arange(13 * 255 + 1) + 6
    assert torch.equal(sums * THIRTEENTH >> 16, sums // 13)


def test_the_border_stays_and_the_inside_does_not():
    pixels = natural(2, 9, 12)
    sharpened = _sharpened(pixels, 1.9)
    kept = torch.ones(9, 12, dtype=torch.bool)
    kept[1:-1, 1:-1] = False
    assert torch.equal(sharpened[:, kept], pixels[:, kept])
    assert (sharpened[:, ~kept] != pixels[:, ~kept]).float().mean() > 0.5


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1)])
def test_pictures_without_an_inside_stay(size):
    pixels = natural(2, *size)
    assert torch.equal(_sharpened(pixels, 0), pixels)


def test_a_factor_of_one_changes_nothing():
    pixels = natural(2, 9, 12)
    assert torch.equal(_sharpened(pixels, 1), pixels)
