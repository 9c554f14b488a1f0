"""Cutout: a black square somewhere on each view."""

from typing import Literal

import numpy as np
import torch

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.limits import Side
from cache_kd.views.ops.inside import in_box
from cache_kd.views.step import Step


class Cutout(Step):
    """Blacken a `size` x `size` square whose centre is anywhere on the view; at the border less of it shows.

    Knobs: row and column of the centre.

    References:
        DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    """

    name: Literal["cutout"] = "cutout"
    size: Side = 16  # pixels; the authors' for CIFAR-10, 8 for CIFAR-100

    @property
    def word_count(self) -> int:
        """Row, column."""
        return 2

    @property
    def takes_any_channels(self) -> bool:
        """A square is one on any of them."""
        return True

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Every pixel is as likely a centre."""
        return below(words, np.array([height, width]))

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """Zeros in the square."""
        start, sides = knobs - self.size // 2, torch.full_like(knobs, self.size)
        return pixels & ~in_box(torch.cat([start, sides], dim=1), *pixels.shape[1:])
