"""Brightness, contrast, saturation and hue, each by a random factor, in an order of each view's own."""

from itertools import permutations

import numpy as np
import torch

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.limits import FactorLimits, TurnLimits
from cache_kd.views.ops.colour import ONE, brightness, contrast, saturation
from cache_kd.views.ops.hue import hue

CHANGES = ((brightness, ONE), (contrast, ONE), (saturation, ONE), (hue, 0))  # and the factor that changes nothing
ORDERS = np.array(list(permutations(range(len(CHANGES)))))
JITTER_WORDS = 1 + len(CHANGES)  # the order, then a factor each


def draw_jitter(words: Words, limits: tuple[FactorLimits, FactorLimits, FactorLimits, TurnLimits]) -> Knobs:
    """Eight columns: which change comes first to fourth, then the factor of each of the four, in 1/65536.

    All orders are as likely; so are all factors between the `limits`, both included.
    """
    orders = ORDERS[below(words[:, 0], len(ORDERS))]
    lowest, highest = np.rint(np.array(limits) * ONE).astype(np.int64).T
    return np.column_stack([orders, lowest + below(words[:, 1:], highest - lowest + 1)])


def jitter(pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
    """The changes of `draw_jitter`; at each place of the order, all rows that have the same one go together."""
    orders, factors = knobs.tensor_split(2, dim=1)
    changed = pixels.clone(memory_format=torch.contiguous_format)
    for place in range(len(CHANGES)):
        for number, (change, neutral) in enumerate(CHANGES):
            factor = factors[:, number]
            rows = ((orders[:, place] == number) & (factor != neutral)).nonzero()[:, 0]
            if len(rows):
                changed[rows] = change(changed[rows], factor[rows])
    return changed
