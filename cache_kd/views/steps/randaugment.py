"""RandAugment: a few operations, any of fourteen, all at one magnitude."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.ops.operations import AUTOAUGMENT, SIGNED, Operation, apply
from cache_kd.views.step import Step

HIGHEST = 30
STRENGTHS = replace(AUTOAUGMENT, highest=HIGHEST)
CHOICES = Operation.INVERT  # every operation before it


class RandAugment(Step):
    """`count` operations one after the other, each any of fourteen, all at the same magnitude, half of them reversed.

    Operations and magnitudes are torchvision's: nearest pixels, black outside, every operation stronger as the
    magnitude grows, and colours changed either way. In the authors' code posterize and solarize grow weaker, and
    brightness, colour, contrast and sharpness go from 0.1 to 1.9 times those of the picture.

    Knobs: operation and level, `count` times; a level is plus or minus the magnitude.

    Attributes:
        count: operations for each view.
        magnitude: from none to the strongest that AutoAugment knows, 0 … 30.

    References:
        Cubuk et al., RandAugment: Practical Automated Data Augmentation with a Reduced Search Space, NeurIPS 2020.
    """

    name: Literal["randaugment"] = "randaugment"
    count: Annotated[int, Field(ge=1)] = 2
    magnitude: Annotated[int, Field(ge=0, le=HIGHEST)] = 9

    @property
    def word_count(self) -> int:
        """Operation and sign, `count` times."""
        return 2 * self.count

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Every operation is as likely, and both signs are."""
        del height, width
        operations = below(words[:, ::2], CHOICES)
        turned = (below(words[:, 1::2], 2) == 1) & np.isin(operations, SIGNED)
        levels = np.where(turned, -self.magnitude, self.magnitude)
        return np.stack([operations, levels], axis=2).reshape(len(words), -1)

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """One operation after the other."""
        for operations, levels in knobs.T.reshape(self.count, 2, len(knobs)):
            pixels = apply(pixels, operations, levels, STRENGTHS)
        return pixels
