"""Sharpness: each picture blended with a smoothed one, in integers."""

import torch

from cache_kd.types import FixedPoint, PixelTensor
from cache_kd.views.ops.fixed import ONE, per_row, to_bytes

# one thirteenth, rounded up: exact for sums up to 13 * 255 + 6
THIRTEENTH = -(-ONE // 13)


def sharpness(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the smooth picture: 0 is smooth, `ONE` the picture itself, at most 100 `ONE`.

    Smooth is the mean of 3x3 values of which the middle one counts five times. Border pixels stay, and so do pictures
    less than three pixels high or wide.
    """
    sharpened = pixels.clone(memory_format=torch.contiguous_format)
    _, height, width, _ = pixels.shape
    if height < 3 or width < 3:
        return sharpened
    # sums of up to 3,315 fit 16 bits, at half of the time
    values = sharpened.to(torch.int16)
    inner = values[:, 1:-1, 1:-1]
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    sums = (rows[:, :, :-2] + rows[:, :, 1:-1]).add_(rows[:, :, 2:]).add_(inner, alpha=4)
    smooth = sums.add_(6).to(torch.int32).mul_(THIRTEENTH).bitwise_right_shift_(16)
    blended = smooth.mul_(per_row(ONE - factor)).add_(inner.to(torch.int32).mul_(per_row(factor)))
    sharpened[:, 1:-1, 1:-1] = to_bytes(blended)
    return sharpened
