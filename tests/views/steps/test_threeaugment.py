import numpy as np
import pytest
import torch
from distributions import assert_drawn_alike, assert_uniform
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_step
from cache_kd.views.steps.threeaugment import BLUR, GREY, SOLARIZE

STEP = make_step("threeaugment")
PLAIN = make_step({"name": "threeaugment", "jitter": 0})


def _draw(step, count):
    return step.draw(words(11, "test", np.arange(count), 0, step.word_count), 32, 32)


def _only(choice, pictures, sigma=256):
    knobs = _draw(PLAIN, len(pictures))
    knobs[:, :2] = choice, sigma
    return PLAIN.apply(torch.from_numpy(pictures), torch.from_numpy(knobs)).numpy()


def test_each_of_the_three_is_as_likely():
    assert_uniform(_draw(STEP, 30_000)[:, 0], 3)


def test_the_blur_is_between_a_tenth_and_two_pixels_wide():
    sigma = _draw(STEP, 100_000)[:, 1] / 256
    assert_drawn_alike(sigma, np.linspace(0.1, 2, 100_001))
    assert sigma.min() == 26 / 256
    assert sigma.max() == 2


def test_the_jitter_is_of_three_tenths_without_hue():
    factors = _draw(STEP, 100_000)[:, 6:] / 65536
    for column in range(3):
        assert_drawn_alike(factors[:, column], np.linspace(0.7, 1.3, 100_001))
    assert not factors[:, 3].any()


def test_grey_is_torchvisions_within_one(make_pictures):
    pictures = make_pictures()
    theirs = functional.rgb_to_grayscale(torch.from_numpy(pictures).permute(0, 3, 1, 2), 3).permute(0, 2, 3, 1).numpy()
    assert np.abs(_only(GREY, pictures).astype(int) - theirs).max() <= 1


def test_solarize_is_pillows(make_pictures):
    pictures = make_pictures()
    theirs = np.stack([np.asarray(ImageOps.solarize(Image.fromarray(picture))) for picture in pictures])
    np.testing.assert_array_equal(_only(SOLARIZE, pictures), theirs)


def test_blur_is_torchvisions_within_one(make_pictures):
    pictures = make_pictures()
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    theirs = functional.gaussian_blur(planes, [13, 13], [1.5, 1.5]).permute(0, 2, 3, 1).numpy()
    assert np.abs(_only(BLUR, pictures, sigma=384).astype(int) - theirs).max() <= 1


def test_rows_are_changed_as_if_alone(make_pictures):
    pictures, knobs = torch.from_numpy(make_pictures(24)), torch.from_numpy(_draw(STEP, 24))
    assert set(knobs[:, 0].tolist()) == {GREY, SOLARIZE, BLUR}
    alone = [STEP.apply(pictures[row : row + 1], knobs[row : row + 1]) for row in range(24)]
    assert torch.equal(STEP.apply(pictures, knobs), torch.cat(alone))


def test_a_negative_jitter_is_refused():
    with pytest.raises(ConfigError, match=r"jitter.*a single number is a strength"):
        make_step({"name": "threeaugment", "jitter": -0.3})
