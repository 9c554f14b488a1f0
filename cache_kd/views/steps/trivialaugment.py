"""TrivialAugment: one operation, any of fourteen, at any strength."""

from fractions import Fraction
from typing import Literal

import numpy as np

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.ops.operations import SIGNED, Operation, Strengths, apply
from cache_kd.views.step import Step

WIDE = Strengths(
    highest=30,
    shear=Fraction("0.99"),
    translation_pixels=Fraction(32),
    rotation=135,
    blend=Fraction("0.99"),
    lost_bits=6,
)
CHOICES = Operation.INVERT  # every operation before it


class TrivialAugment(Step):
    """One operation, any of fourteen, at any of 31 levels and, where it can go either way, of either sign.

    The wide space of the authors, as torchvision's TrivialAugmentWide has it: nearest pixels, black outside.
    Knobs: operation and level.

    References:
        Müller and Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, ICCV 2021.
    """

    name: Literal["trivialaugment"] = "trivialaugment"

    @property
    def word_count(self) -> int:
        """Operation, level, sign."""
        return 3

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Every operation, every level and both signs are as likely."""
        del height, width
        operations, levels, minus = below(words, np.array([CHOICES, WIDE.highest + 1, 2])).T
        return np.column_stack([operations, np.where(minus & np.isin(operations, SIGNED), -levels, levels)])

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """Rows of one operation together."""
        operations, levels = knobs.T
        return apply(pixels, operations, levels, WIDE)
