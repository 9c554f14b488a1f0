"""Autocontrast and equalize: each channel of each row stretched by what values it holds."""

import torch

from cache_kd.types import PixelTensor
from cache_kd.views.ops.fixed import ONE, to_bytes, widened

VALUES = 256


def autocontrast(pixels: PixelTensor) -> PixelTensor:
    """Stretch each channel so that its darkest value becomes 0 and its lightest 255; a flat one stays.

    Cut off, not rounded, as in torchvision, whose float32 quotient now and then falls one short.
    """
    batch, height, width, channels = pixels.shape
    # whole rows of pixels at a time: loops over three channels take ten times as long
    rows = pixels.reshape(batch, height, width * channels)
    darkest = rows.amin(1).view(batch, width, channels).amin(1).to(torch.int32)
    lightest = rows.amax(1).view(batch, width, channels).amax(1).to(torch.int32)
    spread = lightest - darkest
    flat = spread == 0
    # the quotient is rounded up: over at most 255 steps that adds less than the 1/255 that would reach a next value
    stretch = torch.where(flat, ONE, -(-255 * ONE // spread.clamp(min=1)))
    start = torch.where(flat, 0, darkest * stretch)
    stretch, start = (value.repeat(1, width)[:, None] for value in (stretch, start))
    return to_bytes(widened(rows).mul_(stretch).sub_(start)).view(pixels.shape)


def equalize(pixels: PixelTensor) -> PixelTensor:
    """Spread the values of each channel evenly over 0 … 255, by the table of Pillow and torchvision.

    A channel with fewer than 255 values besides its lightest one stays.
    """
    batch, height, width, channels = pixels.shape
    place = VALUES * torch.arange(channels, dtype=torch.int32, device=pixels.device).repeat(width)
    index = widened(pixels.reshape(batch, height, width * channels)).add_(place).flatten(1).to(torch.int64)
    # 32-bit counts of ones that lie in memory: half the time of 64 bits, or of a single one expanded
    ones = torch.ones_like(index, dtype=torch.int32)
    histogram = ones.new_zeros((batch, channels * VALUES)).scatter_add_(1, index, ones).view(batch, channels, VALUES)
    up_to = histogram.cumsum(2)
    below_lightest = torch.where(up_to < height * width, up_to, 0).amax(2, keepdim=True)
    step = below_lightest // 255
    table = ((up_to - histogram + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step == 0, torch.arange(VALUES, device=pixels.device), table).to(torch.uint8)
    return table.flatten(1).gather(1, index).view(pixels.shape)
