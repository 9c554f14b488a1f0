import numpy as np
import pytest
import torch
from distributions import assert_counted_alike, assert_uniform
from natural import natural
from torchvision.transforms import v2

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_step
from cache_kd.views.ops.operations import SIGNED, apply
from cache_kd.views.steps.randaugment import STRENGTHS


def _knobs(step, count, size=(32, 32)):
    return step.draw(words(7, "test", np.arange(count), 0, step.word_count), *size)


def test_operations_and_signs_are_drawn_as_torchvisions(monkeypatch):
    transform, theirs = v2.RandAugment(), []
    monkeypatch.setattr(
        transform,
        "_apply_image_or_video_transform",
        lambda image, name, magnitude, **_: theirs.append((name, np.sign(magnitude))) or image,
    )
    blank = torch.zeros(3, 32, 32, dtype=torch.uint8)
    torch.manual_seed(0)
    for _ in range(3_000):
        transform(blank)
    names = list(transform._AUGMENTATION_SPACE)
    drawn = _knobs(make_step("randaugment"), 20_000).reshape(-1, 2)
    # operations without a magnitude have magnitude 0 there
    ours = [(names[number], 0 if number in (0, 12, 13) else np.sign(level)) for number, level in drawn]
    assert_counted_alike(
        [f"{name} {sign:+.0f}" for name, sign in ours], [f"{name} {sign:+.0f}" for name, sign in theirs]
    )


def test_both_operations_are_independent_and_uniform():
    first, _, second, _ = _knobs(make_step("randaugment"), 40_000).T
    assert_uniform(first * 14 + second, 14 * 14)


def test_only_operations_that_go_either_way_are_reversed():
    operations, levels = _knobs(make_step({"name": "randaugment", "count": 1, "magnitude": 17}), 2_000).T
    assert set(np.abs(levels)) == {17}
    assert set(operations[levels < 0]) == set(SIGNED)


def test_the_operations_follow_one_another():
    step, pixels = make_step({"name": "randaugment", "count": 3}), natural(20, 24, 24)
    knobs = torch.from_numpy(_knobs(step, 20, (24, 24)))
    changed = pixels
    for place in range(3):
        changed = apply(changed, knobs[:, 2 * place], knobs[:, 2 * place + 1], STRENGTHS)
    assert torch.equal(step.apply(pixels, knobs), changed)


def test_magnitude_zero_leaves_most_operations_without_effect():
    step, pixels = make_step({"name": "randaugment", "count": 1, "magnitude": 0}), natural(14, 24, 24)
    knobs = torch.stack([torch.arange(14), torch.zeros(14, dtype=torch.int64)], 1)
    same = (step.apply(pixels, knobs) == pixels).flatten(1).all(1)
    # solarize at its threshold of 255, autocontrast and equalize have an effect without a magnitude
    assert set(torch.nonzero(~same).flatten().tolist()) <= {11, 12, 13}


@pytest.mark.parametrize(("knob", "value"), [("magnitude", 31), ("magnitude", -1), ("count", 0)])
def test_limits_that_make_no_sense_are_refused(knob, value):
    with pytest.raises(ConfigError, match=knob):
        make_step({"name": "randaugment", knob: value})
