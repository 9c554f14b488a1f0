import numpy as np
import pytest
import torch
from distributions import assert_counted_alike
from natural import natural
from torchvision.transforms import v2

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_step
from cache_kd.views.ops.operations import AUTOAUGMENT, SIGNED, Operation, apply
from cache_kd.views.steps.autoaugment import POLICIES, _pairs

OUR_NAMES = {
    "ShearX": "SHEAR_X", "ShearY": "SHEAR_Y", "TranslateX": "TRANSLATE_X", "TranslateY": "TRANSLATE_Y",
    "Color": "SATURATION",
}  # fmt: skip


def _number(name):
    return int(Operation[OUR_NAMES.get(name, name.upper())])


def _knobs(policy, count):
    step = make_step({"name": "autoaugment", "policy": policy})
    return step.draw(words(7, "test", np.arange(count), 0, step.word_count), 32, 32)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_pairs_are_torchvisions(policy):
    theirs = [
        [(_number(name), round(10 * chance), level or 0) for name, chance, level in pair]
        for pair in v2.AutoAugment(v2.AutoAugmentPolicy(policy))._policies
    ]
    assert len(theirs) == 25
    np.testing.assert_array_equal(_pairs(POLICIES[policy]), theirs)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_applied_is_distributed_as_torchvisions(policy, monkeypatch):
    transform, applied, theirs = v2.AutoAugment(v2.AutoAugmentPolicy(policy)), [], []
    monkeypatch.setattr(
        transform,
        "_apply_image_or_video_transform",
        lambda image, name, magnitude, **_: applied.append((_number(name), magnitude < 0)) or image,
    )
    torch.manual_seed(0)
    for _ in range(4_000):
        applied.clear()
        transform(torch.zeros(3, 32, 32, dtype=torch.uint8))
        theirs.append(str(applied))
    knobs = _knobs(policy, 20_000).reshape(-1, 2, 2).tolist()
    # a magnitude of zero has no sign
    ours = [str([(number, level < 0) for number, level in pair if number != Operation.IDENTITY]) for pair in knobs]
    assert_counted_alike(ours, theirs)


def test_only_operations_that_go_either_way_are_reversed():
    knobs = np.concatenate([_knobs(policy, 4_000) for policy in POLICIES]).reshape(-1, 2)
    assert set(knobs[knobs[:, 1] < 0, 0]) == set(SIGNED)


def test_the_second_operation_follows_the_first():
    step, pixels = make_step("autoaugment"), natural(20, 24, 24)
    knobs = torch.from_numpy(_knobs("imagenet", 20))
    first = apply(pixels, knobs[:, 0], knobs[:, 1], AUTOAUGMENT)
    assert torch.equal(step.apply(pixels, knobs), apply(first, knobs[:, 2], knobs[:, 3], AUTOAUGMENT))


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="imagenet"):
        make_step({"name": "autoaugment", "policy": "cifar100"})
