import numpy as np
import torch
from distributions import assert_counted_alike, assert_drawn_alike, assert_uniform
from torchvision.transforms import v2

from cache_kd.keyed.philox import words
from cache_kd.views import make_step
from cache_kd.views.ops.operations import SIGNED, Operation

STEP = make_step("trivialaugment")


def _knobs(count):
    return STEP.draw(words(7, "test", np.arange(count), 0, STEP.word_count), 32, 32)


def _drawn_by_torchvision(monkeypatch, count):
    """Name and magnitude of the operation that each call would apply."""
    transform, drawn = v2.TrivialAugmentWide(), []
    monkeypatch.setattr(
        transform,
        "_apply_image_or_video_transform",
        lambda image, name, magnitude, **_: drawn.append((name, magnitude)) or image,
    )
    torch.manual_seed(0)
    for _ in range(count):
        transform(torch.zeros(3, 32, 32, dtype=torch.uint8))
    return list(transform._AUGMENTATION_SPACE), drawn


def test_operations_and_levels_are_drawn_as_torchvisions(monkeypatch):
    names, theirs = _drawn_by_torchvision(monkeypatch, 6_000)
    operations, levels = _knobs(30_000).T
    assert_counted_alike([names[number] for number in operations], [name for name, _ in theirs])
    degrees = [magnitude for name, magnitude in theirs if name == "Rotate"]
    assert_drawn_alike(levels[operations == Operation.ROTATE] * 135 / 30, np.round(degrees, 3))


def test_levels_are_uniform_and_half_of_those_that_can_be_are_reversed():
    operations, levels = _knobs(60_000).T
    assert_uniform(operations, 14)
    assert_uniform(np.abs(levels), 31)
    signed = np.isin(operations, SIGNED)
    assert (levels[~signed] >= 0).all()
    assert_uniform((levels[signed & (levels != 0)] > 0).astype(int), 2)
