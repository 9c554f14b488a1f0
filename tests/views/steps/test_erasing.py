import math

import numpy as np
import pytest
import torch
from distributions import assert_drawn_alike, assert_uniform
from torchvision.transforms import RandomErasing

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import digests, make_step

ALWAYS = make_step({"name": "erasing", "p": 1})
NOISE = make_step({"name": "erasing", "p": 1, "value": "noise"})


def _draw(step, count, height, width):
    return step.draw(words(11, "test", np.arange(count), 0, step.word_count), height, width)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 224), (6, 90)])
def test_boxes_are_distributed_as_torchvisions(height, width):
    ours = _draw(ALWAYS, 100_000, height, width)
    torch.manual_seed(0)
    blank = torch.empty(3, height, width)
    drawn = [RandomErasing.get_params(blank, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(10_000)]
    # torchvision erases nothing by putting back the whole picture
    theirs = np.array([box if box[2] < height else (0, 0, 0, 0) for box in drawn])
    assert_drawn_alike(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3])
    for column in range(4):
        assert_drawn_alike(ours[:, column], theirs[:, column])
    ours, theirs = (boxes[(boxes[:, 2:] > 0).all(1)] for boxes in (ours, theirs))
    assert_drawn_alike(ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3])


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_a_share_p_of_the_views_is_erased(p):
    step, n = make_step({"name": "erasing", "p": p}), 40_000
    share = (_draw(step, n, 64, 64)[:, 2] > 0).mean()
    assert abs(share - p) <= 4 * math.sqrt(p * (1 - p) / n)


def test_boxes_are_the_golden_ones():
    assert _draw(NOISE, 2, 32, 32).tolist() == [
        [11, 8, 16, 12, 4103170291, 3112014060],
        [13, 0, 19, 11, 353932718, 1886033579],
    ]


@pytest.mark.parametrize(("value", "fill"), [(0, [0, 0, 0]), (255, [255] * 3), ((124, 116, 104), [124, 116, 104])])
def test_the_box_is_filled_and_nothing_else(value, fill, make_pictures):
    step, pictures = make_step({"name": "erasing", "value": value}), make_pictures(3, 9, 13)
    knobs = np.array([(2, 3, 4, 5), (5, 0, 4, 13), (1, 1, 0, 0)])
    changed = step.apply(torch.from_numpy(pictures), torch.from_numpy(knobs)).numpy()
    for picture, (top, left, height, width), view in zip(pictures, knobs, changed, strict=True):
        picture[top : top + height, left : left + width] = fill
        np.testing.assert_array_equal(view, picture)


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_depends_on_its_own_row_only(channels, make_pictures):
    pictures, knobs = torch.from_numpy(make_pictures(12, 20, 30, channels)), torch.from_numpy(_draw(NOISE, 12, 20, 30))
    together = NOISE.apply(pictures, knobs)
    alone = [NOISE.apply(pictures[row : row + 1], knobs[row : row + 1]) for row in (7, 2, 2, 11)]
    assert torch.equal(together[[7, 2, 2, 11]], torch.cat(alone))
    assert torch.equal(NOISE.apply(pictures[:0], knobs[:0]), pictures[:0])


def test_noise_stays_in_the_box_and_is_uniform(make_pictures):
    pictures = torch.from_numpy(make_pictures(12, 90, 90))
    knobs = torch.tensor([[10, 20, 60, 50, word, 2**32 - 1] for word in range(12)])
    changed = NOISE.apply(pictures, knobs)
    assert_uniform(changed[:, 10:70, 20:70].flatten().numpy(), 256)
    changed[:, 10:70, 20:70] = pictures[:, 10:70, 20:70]
    assert torch.equal(changed, pictures)


def test_noise_differs_by_row_and_is_the_golden_one():
    blank, knobs = torch.zeros(2, 8, 8, 3, dtype=torch.uint8), torch.tensor([[1, 1, 5, 7, 1, 0], [1, 1, 5, 7, 0, 1]])
    noise = NOISE.apply(blank, knobs)
    assert not torch.equal(noise[0], noise[1])
    assert [f"{digest:08x}" for digest in digests(noise.numpy())] == ["4bd6fa45", "2b9b950e"]


def test_three_values_do_not_fit_grey_pictures(make_pictures):
    step = make_step({"name": "erasing", "value": [1, 2, 3]})
    with pytest.raises(ConfigError, match=r"value: \[1, 2, 3\] .*views have 1\. Give one value"):
        step.apply(torch.from_numpy(make_pictures(1, channels=1)), torch.zeros(1, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("p", 1.5),
        ("scale", (0.3, 0.1)),
        ("scale", (0, 0.3)),
        ("ratio", (3.0, 0.3)),
        ("value", 256),
        ("value", "random"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(knob, value):
    with pytest.raises(ConfigError, match=knob):
        make_step({"name": "erasing", knob: value})
