import numpy as np
import pytest
import torch
from natural import by_torchvision, difference, natural
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional

from cache_kd.views.ops.levels import autocontrast, equalize


def test_autocontrast_is_the_exact_quotient_cut_off_for_every_span():
    values, spans = torch.arange(256), torch.arange(1, 256)[:, None]
    pixels = torch.minimum(values, spans).to(torch.uint8).reshape(255, 1, 256, 1)
    expected = (pixels.int() * 255).div(spans[:, None, None], rounding_mode="floor").to(torch.uint8)
    assert torch.equal(autocontrast(pixels), expected)
    # from the upper end, where the darkest value is not 0
    assert torch.equal(autocontrast(255 - spans[:, None, None].to(torch.uint8) + pixels), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_autocontrast_is_torchvisions_within_one_on_few_values(channels):
    pixels = natural(40, 32, 41, channels) // 2 + 30
    share, most = difference(autocontrast(pixels), by_torchvision(functional.autocontrast, pixels))
    assert share < 0.05
    assert most <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 41), (1, 300), (16, 17), (224, 224)])
def test_equalize_is_torchvisions_and_pillows(channels, size):
    pixels = natural(3, *size, channels)
    equalized = equalize(pixels)
    assert torch.equal(equalized, by_torchvision(functional.equalize, pixels))
    for picture, ours in zip(pixels.numpy(), equalized.numpy(), strict=True):
        image = Image.fromarray(picture if channels == 3 else picture[:, :, 0])
        np.testing.assert_array_equal(np.asarray(ImageOps.equalize(image)).reshape(picture.shape), ours)


@pytest.mark.parametrize("stretch", [autocontrast, equalize])
def test_a_flat_channel_stays_and_the_others_do_not(stretch):
    pixels = natural(2, 32, 32) // 2
    pixels[0, :, :, 1], pixels[1] = 77, 200
    stretched = stretch(pixels)
    assert torch.equal(stretched[0, :, :, 1], pixels[0, :, :, 1])
    assert torch.equal(stretched[1], pixels[1])
    assert stretched[0, :, :, 0].max() == 255


def test_small_pictures_are_too_few_to_equalize():
    pixels = natural(4, 15, 16)
    assert torch.equal(equalize(pixels), pixels)
