"""Mixup and CutMix: each view holds two pictures, blended or one in a box of the other."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Tensor

from cache_kd.keyed.philox import below, unit, words
from cache_kd.types import (
    FixedPoint,
    Knobs,
    KnobTensor,
    PixelTensor,
    Samples,
    Shares,
    ViewTensor,
    Words,
)
from cache_kd.views.beta import LARGEST_ALPHA, LEVELS, WHOLE, WHOLE_BITS, beta_quantiles
from cache_kd.views.composite import Composite
from cache_kd.views.find import make_base
from cache_kd.views.mixing import Mixing
from cache_kd.views.pairs import PairOrder
from cache_kd.views.recipe import CPU, Album, Recipe

PURPOSE = "mixing"
WORD_COUNT = 4  # mixup or cutmix, share, row, column

# views at a time on the CPU, so that scratch space stays in the cache: 512 blends of 32x32x3 take a third less time
BLOCK = 64

Alpha = Annotated[float, Field(ge=0, le=LARGEST_ALPHA)]


class Mixed(Composite):
    """The views of `base`, each mixed with the same view of another row. Test images are not mixed.

    Partners are the pairs of `PairOrder`; what is drawn belongs to (sample, view), so a view is the same whether its
    partner is in the batch, where it is rendered once for both, or has to be fetched.

    Attributes:
        base: any recipe but this one.
        mixup: alpha of Beta(alpha, alpha), the distribution of a view's own share of a blend; 0 for no mixup.
        cutmix: the same of the share that a box leaves, before it is cut off at the border; 0 for no CutMix.
        switch: share of the rows that take CutMix where both are on.
        within: partners lie in the same run of this many rows of a store, an even number; 0 for anywhere.

    References:
        Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
        Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, ICCV 2019.
    """

    name: Literal["mixed"] = "mixed"
    base: Annotated[SerializeAsAny[Recipe], BeforeValidator(make_base)]
    mixup: Alpha = 0.0
    cutmix: Alpha = 0.0
    switch: Annotated[float, Field(ge=0, le=1)] = 0.5
    within: Annotated[int, Field(ge=0, multiple_of=2)] = 0

    @model_validator(mode="after")
    def _mixes(self) -> "Mixed":
        if not self.mixup and not self.cutmix:
            raise ValueError("mixup and cutmix are both 0; give one of them, or both, an alpha such as 0.2 or 1.0")
        return self

    @property
    def inside(self) -> tuple[Recipe, ...]:
        """The base."""
        return (self.base,)

    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """Each row and each partner once by `base`, then mixed; see `Recipe.view`."""
        partners = self.pairs(seed, len(album), view).partner(samples)
        rows, place = np.unique(np.concatenate([samples, partners]), return_inverse=True)
        pixels = self.base.view(album, seed, rows, view, device)
        knobs = self.draw(words(seed, PURPOSE, samples, view, WORD_COUNT), *pixels.shape[1:3])
        block = BLOCK if device.type == "cpu" else max(len(samples), 1)
        whole = (*torch.from_numpy(place.reshape(2, -1)).to(device), torch.from_numpy(knobs).to(device))
        mixed = [
            # not pixels[own], which takes 14 times as long on the CPU
            self._mix(pixels.index_select(0, own), pixels.index_select(0, partner), knob)
            for own, partner, knob in zip(*(torch.split(part, block) for part in whole), strict=True)
        ]
        return torch.cat(mixed)

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Own share of the blend in 1/65536, then top, left, height, width of the partner's box, of area 0 in a blend.

        The box is that of the paper: any pixel is as likely its centre, its sides are sqrt(1 - share) of the
        picture's, and what lies outside is cut off.
        """
        cut = unit(words[:, 0]) < (self.switch if self.mixup and self.cutmix else float(self.cutmix > 0))
        level = below(words[:, 1], LEVELS)
        own = np.empty_like(level)
        for alpha, rows in ((self.mixup, ~cut), (self.cutmix, cut)):
            if alpha:
                own[rows] = beta_quantiles(alpha)[level[rows]]
        row, column = below(words[:, 2:], np.array([height, width])).T
        top, box_height = _box_side(row, WHOLE - own, height)
        left, box_width = _box_side(column, WHOLE - own, width)
        box = np.stack([top, left, box_height, box_width], axis=1)
        return np.column_stack([np.where(cut, WHOLE, own), np.where(cut[:, None], box, 0)])

    def pairs(self, seed: int, rows: int, view: int) -> PairOrder:
        """Partners of one view; see `PairOrder`."""
        return PairOrder(seed=seed, view=view, samples=rows, within=self.within)

    def mixing(self, seed: int, samples: Samples, view: int, *, rows: int, height: int, width: int) -> Mixing:
        """Partners, and the share of each view that is its own: of a blend its weight, of a box the pixels outside."""
        knobs = self.draw(words(seed, PURPOSE, samples, view, WORD_COUNT), height, width)
        partners = self.pairs(seed, rows, view).partner(samples)
        return Mixing(partners=partners, own=own_share(knobs, height, width))

    def _mix(self, pixels: PixelTensor, partners: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        if self.mixup:
            pixels = blend(pixels, partners, knobs[:, 0])
        if self.cutmix:
            pixels = paste(pixels, partners, knobs[:, 1:])
        return pixels


def blend(pixels: PixelTensor, partners: PixelTensor, own: FixedPoint) -> PixelTensor:
    """The mean of both, weighed by `own` in 1/65536 and rounded to the nearest."""
    weight = own.to(torch.int32)[:, None, None, None]
    above = pixels.to(torch.int32) - partners
    mean: Tensor = partners + (above * weight + WHOLE // 2 >> WHOLE_BITS)
    return mean.to(torch.uint8)


def paste(pixels: PixelTensor, partners: PixelTensor, boxes: KnobTensor) -> PixelTensor:
    """The partner's pixels inside each box (top, left, height, width), the others outside."""
    top, left, height, width = boxes.T[:, :, None]
    row, column = (torch.arange(side, device=pixels.device) for side in pixels.shape[1:3])
    rows, columns = (row >= top) & (row < top + height), (column >= left) & (column < left + width)
    # along one long row of values `where` takes 2.7 us for 32x32x3, over separate channels 6.9 us
    inside = rows[:, :, None] & columns.repeat_interleave(pixels.shape[3], dim=1)[:, None, :]
    return torch.where(inside, partners.flatten(2), pixels.flatten(2)).reshape(pixels.shape)


def own_share(knobs: Knobs, height: int, width: int) -> Shares:
    """The share of each view that is its own: of a blend the weight, of a box the pixels outside."""
    share: Shares = knobs[:, 0] / WHOLE - knobs[:, 3] * knobs[:, 4] / (height * width)
    return share


def _box_side(centre: Samples, area: Samples, side: int) -> tuple[Samples, Samples]:
    """Start and length of a box along one side of the picture, from its area in 1/65536 of the picture's."""
    # half of sqrt(area) * side, rounded down; the square root of a whole number below 2**52 is rounded alike everywhere
    half = np.sqrt(area * side * side // (4 * WHOLE)).astype(np.int64)
    start = np.maximum(centre - half, 0)
    return start, np.minimum(centre + half, side) - start
