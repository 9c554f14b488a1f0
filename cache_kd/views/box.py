"""Boxes of random area and shape, drawn from keyed words; random resized crop and random erasing share them."""

from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from cache_kd.keyed.philox import below, unit
from cache_kd.types import Boxes, BoxTries, Fits, Sizes, Words
from cache_kd.views.limits import RatioLimits, ShareLimits

TRIES = 10  # as in torchvision
BOX_WORDS = 4 * TRIES  # area, ratio, top and left of each try

# what `decimal` starts with, whatever the process has made of its own context since
DIGITS = Context(prec=28)


def box_tries(words: Words, sizes: Sizes, scale: ShareLimits, ratio: RatioLimits) -> BoxTries:
    """Ten boxes for each picture: its area times uniform `scale`, width / height log-uniform in `ratio`.

    A box may exceed its picture, and is then at its upper or left border; where it does not, every place of it is
    as likely.

    Args:
        words: `BOX_WORDS` for each picture.
        sizes: of the pictures, pixels.
        scale: least and greatest share of the picture's area.
        ratio: least and greatest width / height.
    """
    area_word, ratio_word, top_word, left_word = words.reshape(-1, TRIES, 4).transpose(2, 0, 1)
    picture_height, picture_width = sizes[:, :1], sizes[:, 1:]
    area = picture_height * picture_width * _between(scale, area_word)
    shape = exp(_between((log(ratio[0]), log(ratio[1])), ratio_word))
    height = np.rint(np.sqrt(area / shape)).astype(np.int64)
    width = np.rint(np.sqrt(area * shape)).astype(np.int64)
    top = below(top_word, np.maximum(picture_height - height + 1, 1))
    left = below(left_word, np.maximum(picture_width - width + 1, 1))
    return np.stack([top, left, height, width], axis=2)


def first_fitting(tries: BoxTries, fits: Fits, otherwise: Boxes) -> Boxes:
    """The first of each picture's `tries` that `fits`, or what stands in `otherwise`."""
    first = tries[np.arange(len(tries)), fits.argmax(1)]
    return np.where(fits.any(1, keepdims=True), first, otherwise)


def exp(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """e to the `power` for |power| < 5, from additions, products and quotients only.

    Those are rounded alike everywhere; the last bit of a library's `exp` depends on processor and
    release, and has moved crops by many pixels.
    """
    total = np.ones_like(power)
    for term in range(40, 0, -1):
        total = 1 + total * power / term
    return total


def log(value: float) -> float:
    """The natural logarithm, rounded alike everywhere because `decimal` rounds correctly."""
    return float(DIGITS.ln(Decimal(value)))


def _between(limits: tuple[float, float], words: NDArray[np.uint32]) -> NDArray[np.float64]:
    low, high = limits
    return low + (high - low) * unit(words)
