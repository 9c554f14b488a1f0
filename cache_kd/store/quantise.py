"""Logits as few whole numbers between the extremes of their row, and back: the same bits on every device."""

from dataclasses import dataclass

import torch

from cache_kd.store.codec import refuse
from cache_kd.types import Codes, Extremes, Logits, PerSample

LARGEST = 2.0**126  # beyond, the range of a row could overflow
LEAST = 2.0**-149  # the smallest positive float32

# Decoding overshoots the smallest logit by this share of the range, more than it rounds, and is cut off there.
OVERSHOOT = 2.0**-21

# Over the half step: a code may be off by 1e-4 of a step near a tie; decoding rounds and overshoots.
TIES, ROUNDING = 1 + 1e-4, 2.0**-19


@dataclass(frozen=True)
class Quantiser:
    """Codes 0 (the row's largest logit) to `steps` (its smallest), closer together near the top.

    A code c stands for the logit `high - (high - low) * w * (top_step + (1 - top_step) * w)` with w = c / steps, so
    that steps grow evenly from `top_step` to 2 - `top_step` of the uniform step. Products, quotients, sums and square
    roots are rounded alike everywhere, logarithms are not: the curve is a parabola so that a store decodes to the
    same bits on every device.

    Attributes:
        steps: between the extremes, 1 to 255.
        top_step: of the finest step, as a share of the uniform one, 0 < top_step <= 1; 1 is affine.
    """

    steps: int
    top_step: float

    def codes(self, logits: Logits, low: Extremes, high: Extremes) -> Codes:
        """The nearest code of each logit, low <= logit <= high, |logit| <= `LARGEST`; a constant row is all 0."""
        place = (high - logits).div_((high - low).clamp(min=LEAST))
        if self.top_step < 1:
            # the root of the parabola, in the form that loses no digits near the top
            root = (place * (4 * (1 - self.top_step))).add_(self.top_step**2).sqrt_()
            place.mul_(2).div_(root.add_(self.top_step))
        return place.mul_(self.steps).round_().to(torch.uint8)

    def logits(self, codes: Codes, low: Extremes, high: Extremes) -> Logits:
        """The logits that `codes` stand for; `low` and `high` themselves come back exactly."""
        # in place: a fresh array for each operation costs more than the operation
        logits = codes.float()
        if self.top_step < 1:
            logits.mul_((1 - self.top_step) / self.steps**2).add_(self.top_step / self.steps).mul_(codes)
        else:
            logits.mul_(1 / self.steps)
        return logits.mul_((low - high) * (1 + OVERSHOOT)).add_(high).clamp_(min=low)

    def error_bound(self, low: Extremes, high: Extremes) -> PerSample:
        """The largest error of each row: half of its coarsest step, and rounding."""
        coarsest = (high - low) * ((2 - self.top_step) / self.steps)
        largest = torch.maximum(low.abs(), high.abs())
        return (coarsest * (TIES / 2) + largest * ROUNDING + 2 * LEAST).squeeze(1)


def extremes(logits: Logits) -> tuple[Extremes, Extremes]:
    """The smallest and the largest logit of each row."""
    return logits.amin(dim=1, keepdim=True), logits.amax(dim=1, keepdim=True)


def refuse_beyond_range(logits: Logits) -> None:
    """Raise for a logit whose row's range might not be a float32.

    Raises:
        UnfitLogit: names row, class and value.
    """
    refuse(logits, logits.abs() > LARGEST, f"a row of codes spans at most +-{LARGEST:.1e}; use --codec float32.")
