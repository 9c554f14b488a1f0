import decimal

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from cache_kd.views import digests
from cache_kd.views.ops.blur import REACH, SIGMA_MAX, gaussian_blur


@pytest.fixture(scope="module")
def picture(make_pictures):
    return torch.from_numpy(make_pictures(1, 100, 130))


def _blurred(pixels, *sigmas):
    return gaussian_blur(pixels.expand(len(sigmas), -1, -1, -1), torch.tensor(sigmas))


def test_a_point_becomes_the_kernel():
    point = torch.zeros(1, 21, 21, 1, dtype=torch.uint8)
    point[0, 10, 10] = 255
    away = np.arange(-REACH, REACH + 1)
    kernel = np.exp(-(away**2) / 2)
    expected = 255 * np.outer(kernel, kernel) / kernel.sum() ** 2
    blurred = _blurred(point, 256)[0, :, :, 0].numpy()
    np.testing.assert_allclose(blurred[4:17, 4:17], expected, atol=0.51)
    assert blurred.sum() == blurred[4:17, 4:17].sum()


@pytest.mark.parametrize("sigma", [1, 26, 256, SIGMA_MAX])
@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_an_even_picture_stays(sigma, level):
    even = torch.full((1, 9, 4, 3), level, dtype=torch.uint8)
    assert torch.equal(_blurred(even, sigma), even)


def test_a_tenth_of_a_pixel_changes_nothing(picture):
    assert torch.equal(_blurred(picture, 26), picture)


@pytest.mark.parametrize("sigma", [100, 256, 384, SIGMA_MAX])
def test_a_picture_is_torchvisions_within_one(sigma, picture):
    theirs = functional.gaussian_blur(picture.permute(0, 3, 1, 2), [13, 13], [sigma / 256] * 2).permute(0, 2, 3, 1)
    difference = (_blurred(picture, sigma).int() - theirs.int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 0.01


def test_rows_of_different_widths_are_blurred_as_if_alone(picture):
    sigmas = (26, SIGMA_MAX, 130, 300)
    alone = [_blurred(picture, sigma) for sigma in sigmas]
    assert torch.equal(_blurred(picture, *sigmas), torch.cat(alone))


def test_pixels_are_the_golden_ones(picture):
    assert f"{digests(_blurred(picture, 333).numpy())[0]:08x}" == "e382aab6"


def test_small_pictures_are_reflected_as_often_as_it_takes():
    row = torch.tensor([10, 200, 30], dtype=torch.uint8).reshape(1, 1, 3, 1)
    endless = torch.tensor([10, 200, 30, 200], dtype=torch.uint8).repeat(9)[:33].reshape(1, 1, 33, 1)
    # period four, and place 16 shows the first pixel again
    assert torch.equal(_blurred(row, SIGMA_MAX), _blurred(endless, SIGMA_MAX)[:, :, 16:19])


def test_the_callers_decimal_context_changes_nothing(picture):
    from cache_kd.views.ops import blur

    expected = blur._weights()
    blur._weights.cache_clear()
    with decimal.localcontext(prec=3):
        assert torch.equal(blur._weights(), expected)
