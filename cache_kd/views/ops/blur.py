"""Gaussian blur, in integers; each row with its own width."""

from decimal import Context, Decimal, localcontext
from functools import cache

import torch
from torch import Tensor

from cache_kd.types import PerRow, PixelTensor
from cache_kd.views.ops.colour import ONE

SIGMA_STEPS = 256  # widths are whole numbers of 1/256 pixel
SIGMA_MAX = 2 * SIGMA_STEPS
REACH = 6  # pixels to either side: three times the greatest width, where the weight is 1/90 of the centre's

# between the two passes, in 1/64: 255 * 64 * 65536 is below 2**31
BETWEEN = 6


def gaussian_blur(pixels: PixelTensor, sigma: PerRow) -> PixelTensor:
    """Blur along the columns, then along the rows; beyond the border the picture is reflected, as often as it takes.

    Args:
        pixels: of any size.
        sigma: standard deviation of each row's kernel, in 1/256 pixel, 1 ... `SIGMA_MAX`.
    """
    weights = _weights().to(pixels.device)[sigma]
    # narrow kernels have zeros at the ends, which cost as much as weights
    reach = int(weights.count_nonzero(1).max()) - 1 if len(weights) else 0
    weights = weights[:, : reach + 1]
    columns = _blur(pixels.to(torch.int32), weights, axis=1, shift=16 - BETWEEN)
    return _blur(columns, weights, axis=2, shift=16 + BETWEEN).to(torch.uint8)


def _blur(values: Tensor, weights: Tensor, axis: int, shift: int) -> Tensor:
    """One pass along `axis`, in 1 / 2**`shift` of the weighted sum, rounded."""
    length, reach = values.shape[axis], weights.shape[1] - 1
    padded = values.index_select(axis, _reflected(length, reach).to(values.device))
    rows = weights[:, :, None, None, None].unbind(1)
    total = padded.narrow(axis, reach, length) * rows[0]
    for away in range(1, reach + 1):
        both_sides = padded.narrow(axis, reach - away, length) + padded.narrow(axis, reach + away, length)
        total.addcmul_(both_sides, rows[away])
    return total.add_(1 << shift - 1).bitwise_right_shift_(shift)


def _reflected(length: int, reach: int) -> Tensor:
    """Which of `length` places stands at -`reach` ... `length` + `reach` - 1; the border itself is not repeated."""
    period = max(2 * (length - 1), 1)
    place = torch.arange(-reach, length + reach) % period
    return torch.minimum(place, period - place) if length > 1 else place


@cache
def _weights() -> Tensor:
    """The kernel from its centre outwards for each sigma, in 1/65536; a whole kernel adds up to `ONE`.

    The first row stands for no width at all. `decimal` rounds its exponential correctly, and so alike everywhere.
    """
    rows = [[ONE] + [0] * REACH]
    # not the process's own context, whatever it has made of its precision
    with localcontext(Context(prec=28)):
        for sigma in range(1, SIGMA_MAX + 1):
            # relative to the centre: exp(-away**2 / (2 sigma**2))
            beside = [(Decimal(-((away * SIGMA_STEPS) ** 2)) / (2 * sigma**2)).exp() for away in range(1, REACH + 1)]
            total = 1 + 2 * sum(beside)
            sides = [int((ONE * share / total).to_integral_value()) for share in beside]
            rows.append([ONE - 2 * sum(sides), *sides])
    return torch.tensor(rows, dtype=torch.int32)
