"""Posterize, solarize and invert: changes that look at one value at a time."""

import torch

from cache_kd.types import PerRow, PixelTensor


def posterize(pixels: PixelTensor, bits: PerRow) -> PixelTensor:
    """Keep the highest `bits`, 0 … 8, of every value."""
    mask = (0xFF << (8 - bits) & 0xFF).to(torch.uint8)
    return pixels.contiguous() & mask[:, None, None, None]


def solarize(pixels: PixelTensor, threshold: PerRow) -> PixelTensor:
    """Invert every value of at least `threshold`, 0 … 255."""
    bright = pixels.contiguous() >= threshold.to(torch.uint8)[:, None, None, None]
    return pixels ^ bright.to(torch.uint8).neg_()


def invert(pixels: PixelTensor) -> PixelTensor:
    """255 minus every value."""
    return ~pixels.contiguous()
