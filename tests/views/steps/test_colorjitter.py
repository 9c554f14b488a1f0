import itertools

import numpy as np
import pytest
import torch
from distributions import assert_drawn_alike, assert_uniform
from torchvision.transforms import ColorJitter
from torchvision.transforms.v2 import functional

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_step
from cache_kd.views.jitter import CHANGES
from cache_kd.views.ops.colour import ONE

THEIRS = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation, functional.adjust_hue)


def _draw(step, count):
    return step.draw(words(11, "test", np.arange(count), 0, step.word_count), 32, 32)


def test_factors_are_distributed_as_torchvisions():
    strengths = {"brightness": 0.4, "contrast": (0.2, 3.0), "saturation": 1.5, "hue": (-0.1, 0.4)}
    ours = _draw(make_step({"name": "colorjitter", **strengths}), 100_000)[:, 4:] / ONE
    torch.manual_seed(0)
    jitter = ColorJitter(**strengths)
    limits = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    theirs = np.array([ColorJitter.get_params(*limits)[1:] for _ in range(20_000)])
    for column in range(4):
        assert_drawn_alike(ours[:, column], theirs[:, column])


def test_every_order_is_as_likely():
    orders = _draw(make_step("colorjitter"), 48_000)[:, :4]
    numbers = {order: number for number, order in enumerate(itertools.permutations(range(4)))}
    assert_uniform(np.array([numbers[tuple(order)] for order in orders.tolist()]), 24)


def test_both_limits_can_be_drawn():
    step = make_step({"name": "colorjitter", "brightness": [0.5, 0.5 + 2 / ONE]})
    assert set(_draw(step, 50)[:, 4]) == {ONE // 2, ONE // 2 + 1, ONE // 2 + 2}


def test_knobs_are_the_golden_ones():
    assert _draw(make_step("colorjitter"), 2).tolist() == [
        [3, 0, 1, 2, 66321, 59403, 74486, -1504],
        [2, 3, 1, 0, 71102, 53264, 88896, -6060],
    ]


def test_each_row_is_changed_in_its_own_order(make_pictures):
    step = make_step({"name": "colorjitter", "hue": 0.5})
    pictures, knobs = torch.from_numpy(make_pictures(40)), torch.from_numpy(_draw(step, 40))
    changed = step.apply(pictures, knobs)
    assert len(set(map(tuple, knobs[:, :4].tolist()))) > 15
    for row in range(40):
        expected = pictures[row : row + 1]
        for number in knobs[row, :4].tolist():
            expected = CHANGES[number][0](expected, knobs[row : row + 1, 4 + number])
        assert torch.equal(changed[row : row + 1], expected)


def test_a_picture_is_changed_as_by_torchvision(make_pictures):
    step = make_step("colorjitter")
    picture = torch.from_numpy(make_pictures(1, 100, 130)[0])
    knobs = torch.from_numpy(_draw(step, 24))
    ours = step.apply(picture.expand(24, -1, -1, -1), knobs)
    theirs = []
    for knob in knobs.tolist():
        planes = picture.permute(2, 0, 1)
        for number in knob[:4]:
            planes = THEIRS[number](planes, knob[4 + number] / ONE)
        theirs.append(planes.permute(1, 2, 0))
    difference = (ours.int() - torch.stack(theirs).int()).abs()
    # each change rounds on its own, and a later one may double the error of an earlier one
    assert difference.max() <= 4
    assert difference.float().mean() < 0.1


def test_no_strength_changes_nothing(make_pictures):
    step = make_step({"name": "colorjitter", "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0})
    pictures = torch.from_numpy(make_pictures())
    assert torch.equal(step.apply(pictures, torch.from_numpy(_draw(step, 12))), pictures)


def test_grey_pictures_have_neither_saturation_nor_hue(make_pictures):
    step = make_step({"name": "colorjitter", "brightness": 0, "contrast": 0})
    pictures = torch.from_numpy(make_pictures(channels=1))
    assert torch.equal(step.apply(pictures, torch.from_numpy(_draw(step, 12))), pictures)


def test_a_strength_stands_for_both_limits():
    assert make_step({"name": "colorjitter", "brightness": 0.5}).brightness == (0.5, 1.5)
    assert make_step({"name": "colorjitter", "contrast": 2}).contrast == (0.0, 3.0)
    assert make_step({"name": "colorjitter", "hue": 0.25}).hue == (-0.25, 0.25)


@pytest.mark.parametrize(
    ("knob", "value", "words_of_message"),
    [
        ("brightness", -0.4, "a single number is a strength"),
        ("contrast", [1.4, 0.6], "lower limit comes first"),
        ("saturation", [-0.1, 1.0], "greater than or equal to 0"),
        ("brightness", 1000, "less than or equal to 100"),
        ("hue", 0.6, "equal to -0.5"),
        ("hue", "much", "tuple"),
    ],
)
def test_limits_that_make_no_sense_are_refused(knob, value, words_of_message):
    with pytest.raises(ConfigError, match=f"{knob}.*{words_of_message}"):
        make_step({"name": "colorjitter", knob: value})
