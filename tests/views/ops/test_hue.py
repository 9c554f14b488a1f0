import colorsys
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from cache_kd.views.ops.hue import hue

LEVELS = (0, 1, 2, 100, 127, 128, 200, 254, 255)
COLOURS = torch.tensor(list(itertools.product(LEVELS, repeat=3)), dtype=torch.uint8)[None, :, None]
HALF = 32768


def _turned(pixels, turn):
    return hue(pixels, torch.full((len(pixels),), turn))


def test_no_turn_changes_nothing():
    assert torch.equal(_turned(COLOURS, 0), COLOURS)


def test_two_half_turns_change_nothing_either_way():
    for first, second in itertools.product((HALF, -HALF), repeat=2):
        assert torch.equal(_turned(_turned(COLOURS, first), second), COLOURS)


def test_a_third_of_a_turn_exchanges_the_channels():
    # 65536 is no multiple of three: 1/3 of a step remains
    difference = _turned(COLOURS, 21845).int() - COLOURS.roll(1, dims=3).int()
    assert difference.abs().max() <= 1


@given(st.integers(-HALF, HALF))
def test_lightest_and_darkest_channel_keep_their_values(turn):
    turned = _turned(COLOURS, turn)
    assert torch.equal(turned.amax(3), COLOURS.amax(3))
    assert torch.equal(turned.amin(3), COLOURS.amin(3))


@pytest.mark.parametrize("turn", [-30_000, -6_554, 1, 12_345, 32_767])
def test_colours_turn_as_on_the_circle_of_the_standard_library(turn):
    for colour, turned in zip(COLOURS[0, :, 0].tolist(), _turned(COLOURS, turn)[0, :, 0].tolist(), strict=True):
        place, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in colour))
        expected = colorsys.hsv_to_rgb((place + turn / 65536) % 1, saturation, value)
        np.testing.assert_allclose(turned, [255 * level for level in expected], atol=0.5 + 1e-9)


def test_a_picture_is_torchvisions_within_one(make_pictures):
    picture = torch.from_numpy(make_pictures(1, 100, 130))
    for turn in (-HALF, -6_554, 3_277, 20_000):
        theirs = functional.adjust_hue(picture.permute(0, 3, 1, 2), turn / 65536).permute(0, 2, 3, 1)
        difference = (_turned(picture, turn).int() - theirs.int()).abs()
        assert difference.max() <= 1
        assert difference.float().mean() < 0.12


def test_grey_pictures_and_grey_pixels_stay():
    grey = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    assert torch.equal(_turned(grey, 9_999), grey)
    assert torch.equal(_turned(grey.repeat(1, 1, 1, 3), 9_999), grey.repeat(1, 1, 1, 3))
