"""The operations that automatic augmentations choose from, and how each is applied to the rows that drew it."""

import math
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, PerRow, PixelTensor
from cache_kd.views.ops.affine import affine, shear_x, shear_y, shift, turn
from cache_kd.views.ops.colour import brightness, contrast, saturation
from cache_kd.views.ops.fixed import ONE
from cache_kd.views.ops.levels import autocontrast, equalize
from cache_kd.views.ops.pointwise import invert, posterize, solarize
from cache_kd.views.ops.sharpness import sharpness

# values at a time on a CPU: what an operation computes in then stays in the second-level cache
BLOCK = 1 << 18


class Operation(IntEnum):
    """The operations by number, as knobs hold them, in torchvision's order; SATURATION is called Color there."""

    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    SATURATION = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERIZE = 10
    SOLARIZE = 11
    AUTOCONTRAST = 12
    EQUALIZE = 13
    INVERT = 14


# those that go either way, left or right, more or less: half of the time a level counts as minus itself
SIGNED = range(Operation.SHEAR_X, Operation.POSTERIZE)


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """How strong each operation is at the highest level; level 0 is none, those between are even steps."""

    highest: int  # level
    shear: Fraction  # pixels aside per pixel of depth
    translation_pixels: Fraction = Fraction(0)
    translation_share: Fraction = Fraction(0)  # of the side, on top of the pixels
    rotation: int  # degrees, counter-clockwise
    blend: Fraction  # how far brightness, saturation, contrast and sharpness go from 1
    lost_bits: int  # that posterize takes away

    def whole(self, level: PerRow, most: Fraction) -> PerRow:
        """As many steps towards `most` as `level` says, cut off to a whole number."""
        return level.sign() * (level.abs() * most.numerator // (most.denominator * self.highest))

    def fixed(self, level: PerRow, most: Fraction) -> FixedPoint:
        """As many steps towards `most` as `level` says, rounded to 1/65536."""
        parts = most.denominator * self.highest
        return level.sign() * ((2 * ONE * level.abs() * most.numerator + parts) // (2 * parts))


# of Cubuk et al. 2019 as torchvision has them, for pictures of any size; ten levels there
AUTOAUGMENT = Strengths(
    highest=9,
    shear=Fraction("0.3"),
    translation_share=Fraction(150, 331),
    rotation=30,
    blend=Fraction("0.9"),
    lost_bits=4,
)


def apply(pixels: PixelTensor, operations: PerRow, levels: PerRow, strengths: Strengths) -> PixelTensor:
    """Each row changed by its own operation at its own level, those of one operation together; into new memory.

    Args:
        pixels: grey or RGB.
        operations: numbers of `Operation`.
        levels: 0 … `strengths.highest`, and minus that for operations in `SIGNED`.
        strengths: what a level means.
    """
    # grouped by number on the CPU: a GPU would have to be waited for at every operation
    drawn = operations.cpu()
    order = drawn.argsort(stable=True).to(pixels.device)
    # there and back by whole rows, which takes a tenth of the time of indexing for each operation
    grouped, level = pixels.index_select(0, order), levels[order]
    rows = max(1, BLOCK // math.prod(pixels.shape[1:]) if pixels.is_cpu else len(pixels))
    end = 0
    for number, count in enumerate(torch.bincount(drawn).tolist()):
        start, end = end, end + count
        for at in range(start, end, rows):
            part = slice(at, min(at + rows, end))
            grouped[part] = _change(Operation(number), grouped[part], level[part], strengths)
    return grouped.index_select(0, order.argsort())


def _change(operation: Operation, pixels: PixelTensor, level: PerRow, strengths: Strengths) -> PixelTensor:
    _, height, width, _ = pixels.shape
    none = torch.zeros_like(level)
    match operation:
        case Operation.IDENTITY:
            return pixels
        case Operation.SHEAR_X:
            return affine(pixels, shear_x(strengths.fixed(level, strengths.shear)))
        case Operation.SHEAR_Y:
            return affine(pixels, shear_y(strengths.fixed(level, strengths.shear)))
        case Operation.TRANSLATE_X:
            most = strengths.translation_pixels + strengths.translation_share * width
            return affine(pixels, shift(right=strengths.whole(level, most), down=none))
        case Operation.TRANSLATE_Y:
            most = strengths.translation_pixels + strengths.translation_share * height
            return affine(pixels, shift(right=none, down=strengths.whole(level, most)))
        case Operation.ROTATE:
            cosine, sine = _turns(strengths).to(level.device)[:, level.abs()]
            return affine(pixels, turn(cosine, level.sign() * sine, height, width))
        case Operation.BRIGHTNESS:
            return brightness(pixels, ONE + strengths.fixed(level, strengths.blend))
        case Operation.SATURATION:
            return saturation(pixels, ONE + strengths.fixed(level, strengths.blend))
        case Operation.CONTRAST:
            return contrast(pixels, ONE + strengths.fixed(level, strengths.blend))
        case Operation.SHARPNESS:
            return sharpness(pixels, ONE + strengths.fixed(level, strengths.blend))
        case Operation.POSTERIZE:
            lost = (2 * strengths.lost_bits * level + strengths.highest) // (2 * strengths.highest)
            return posterize(pixels, 8 - lost)
        case Operation.SOLARIZE:
            # the least whole number that reaches 255 less as many steps
            return solarize(pixels, 255 - 255 * level // strengths.highest)
        case Operation.AUTOCONTRAST:
            return autocontrast(pixels)
        case Operation.EQUALIZE:
            return equalize(pixels)
        case Operation.INVERT:
            return invert(pixels)


@cache
def _turns(strengths: Strengths) -> Tensor:
    """Cosines and sines of the angles of all levels, in 1/65536.

    A library's last digit depends on processor and release, but none of these comes as close to half a step as that:
    what is rounded is the same everywhere.
    """
    angles = [math.radians(level * strengths.rotation / strengths.highest) for level in range(strengths.highest + 1)]
    return torch.tensor([[round(ONE * wave(angle)) for angle in angles] for wave in (math.cos, math.sin)])
