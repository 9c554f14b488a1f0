import pytest
import torch
from natural import by_torchvision, difference, natural
from torchvision.transforms.v2 import functional

from cache_kd.views.ops.colour import ONE, brightness, contrast, grey, saturation

BLENDS = {
    brightness: functional.adjust_brightness,
    contrast: functional.adjust_contrast,
    saturation: functional.adjust_saturation,
}


def _blended(blend, pixels, factor):
    return blend(pixels, torch.full((len(pixels),), round(factor * ONE)))


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.01, 0.3, 0.73, 1.0, 1.27, 1.99, 2.0])
def test_a_blend_is_torchvisions_within_one_on_few_values(blend, channels, factor):
    pixels = natural(6, 32, 41, channels)
    ours, theirs = _blended(blend, pixels, factor), by_torchvision(BLENDS[blend], pixels, factor)
    share, most = difference(ours, theirs)
    # at a factor of 0.3 every tenth exact value is whole, and float32 may fall short of it
    assert share < 0.06
    assert most <= 1


def test_brightness_is_the_product_cut_off_and_limited():
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    for factor in (0, 1, 19_589, ONE - 1, ONE, ONE + 1, 83_231, 100 * ONE):
        expected = [min(255, value * factor // ONE) for value in range(256)]
        assert brightness(values, torch.tensor([factor])).flatten().tolist() == expected


@pytest.mark.parametrize("blend", BLENDS)
def test_a_factor_of_one_changes_nothing(blend):
    pixels = natural(3, 9, 20)
    assert torch.equal(_blended(blend, pixels, 1), pixels)


@pytest.mark.parametrize("blend", BLENDS)
def test_each_row_has_its_own_factor(blend):
    pixels, factors = natural(4, 8, 8), torch.tensor([0, ONE // 2, ONE, 2 * ONE])
    alone = [blend(pixels[row : row + 1], factors[row : row + 1]) for row in range(4)]
    assert torch.equal(blend(pixels, factors), torch.cat(alone))


@pytest.mark.parametrize("blend", BLENDS)
def test_the_strongest_blend_is_black_or_white_and_does_not_wrap_round(blend):
    pixels = natural(2, 16, 16)
    values = _blended(blend, pixels, 100)
    assert ((values == 0) | (values == 255)).float().mean() > 0.9


def test_contrast_of_nothing_is_the_mean_grey():
    flat = _blended(contrast, natural(5, 12, 12), 0)
    assert torch.equal(flat, flat[:, :1, :1, :1].expand(flat.shape))


def test_saturation_of_nothing_is_grey():
    pixels = natural(5, 12, 12)
    assert torch.equal(_blended(saturation, pixels, 0), grey(pixels))


def test_grey_is_torchvisions_within_one_on_few_values():
    pixels = natural(6, 32, 41)
    share, most = difference(grey(pixels), by_torchvision(functional.rgb_to_grayscale, pixels, 3))
    assert share < 0.002
    assert most <= 1


def test_the_luma_of_pure_colours_is_that_of_the_weights():
    pure = 255 * torch.eye(4, 3, dtype=torch.uint8).reshape(1, 4, 1, 3)
    pure[0, 3] = 255
    assert grey(pure)[0, :, 0].tolist() == [[76] * 3, [149] * 3, [29] * 3, [254] * 3]


def test_grey_pictures_stay_in_grey_and_in_saturation():
    pixels = natural(2, 10, 10, 1)
    assert torch.equal(grey(pixels), pixels)
    assert torch.equal(_blended(saturation, pixels, 0.2), pixels)
