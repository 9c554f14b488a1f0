"""Cutout: a black square somewhere on each view."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.philox import below
from cache_kd.views.step import Step


class Cutout(Step):
    """Blacken a `size` x `size` square whose centre is anywhere on the view; at the border less of it shows.

    Knobs: row and column of the centre.

    References:
        DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    """

    name: Literal["cutout"] = "cutout"
    size: Annotated[int, Field(ge=1)] = 16  # pixels; the authors' for CIFAR-10, 8 for CIFAR-100

    @property
    def word_count(self) -> int:
        """Row, column."""
        return 2

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Every pixel is as likely a centre."""
        return below(words, np.array([height, width]))

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """One comparison per row and per column, joined."""
        rows, columns = (
            (torch.arange(length, device=pixels.device) - (start - self.size // 2)[:, None])
            for length, start in zip(pixels.shape[1:3], knobs.T, strict=True)
        )
        inside = ((rows >= 0) & (rows < self.size))[:, :, None] & ((columns >= 0) & (columns < self.size))[:, None, :]
        return pixels.masked_fill(inside[..., None], 0)
