"""AutoAugment: one of 25 pairs of operations that a search found for a data set."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.ops.operations import AUTOAUGMENT, SIGNED, Operation, apply
from cache_kd.views.ops.policies import CIFAR10, IMAGENET, SVHN
from cache_kd.views.step import Step

POLICIES = {"imagenet": IMAGENET, "cifar10": CIFAR10, "svhn": SVHN}


class AutoAugment(Step):
    """Two operations one after the other, each with its own chance and level, from a pair that is drawn; either sign.

    Policies and magnitudes are torchvision's: nearest pixels, black outside.
    Knobs: operation and level, twice; an operation whose chance did not come is number 0.

    References:
        Cubuk et al., AutoAugment: Learning Augmentation Strategies from Data, CVPR 2019.
    """

    name: Literal["autoaugment"] = "autoaugment"
    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet"

    @property
    def word_count(self) -> int:
        """The pair; chance and sign of each of its operations."""
        return 5

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Every pair is as likely, and both signs are."""
        del height, width
        pairs = _pairs(POLICIES[self.policy])
        operations, tenths, levels = pairs[below(words[:, 0], len(pairs))].transpose(2, 0, 1)
        operations = np.where(below(words[:, 1::2], 10) < tenths, operations, Operation.IDENTITY)
        minus = (below(words[:, 2::2], 2) == 1) & np.isin(operations, SIGNED)
        return np.stack([operations, np.where(minus, -levels, levels)], axis=2).reshape(len(words), -1)

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """The first operation of each row, then the second."""
        for operations, levels in knobs.T.reshape(2, 2, len(knobs)):
            pixels = apply(pixels, operations, levels, AUTOAUGMENT)
        return pixels


def _pairs(policy: str) -> NDArray[np.int64]:
    """The lines of `policy` as numbers [pairs, 2, (operation, tenths, level)]."""
    words = policy.split()
    rows = zip(words[::3], words[1::3], words[2::3], strict=True)
    return np.array([(Operation[name.upper()], int(tenths), int(level)) for name, tenths, level in rows]).reshape(
        -1, 2, 3
    )
