"""What the operations compute in: fixed point of 16 binary places in 32 bits, one plane per channel where it pays."""

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, PixelTensor, PlanarTensor

ONE = 1 << 16  # 1.0


def widened(pixels: Tensor) -> Tensor:
    """A contiguous copy with room for products, of any shape."""
    return pixels.to(torch.int32, memory_format=torch.contiguous_format)


def planar(pixels: PixelTensor) -> PlanarTensor:
    """A copy with one plane per channel: loops over three interleaved values take twice as long."""
    return widened(pixels.permute(0, 3, 1, 2))


def interleaved(planes: Tensor) -> PixelTensor:
    """Planes of bytes [batch channels height width] back to pixels."""
    pixels = torch.empty_like(planes.permute(0, 2, 3, 1), memory_format=torch.contiguous_format)
    # channel by channel this copy takes half of the time
    for channel, plane in enumerate(planes.unbind(1)):
        pixels[..., channel] = plane
    return pixels


def per_row(values: FixedPoint) -> Tensor:
    """32-bit, of a shape that spreads over the pixels of each row."""
    return values.to(torch.int32)[:, None, None, None]


def to_bytes(scaled: Tensor) -> Tensor:
    """Values in 1/65536, cut off to whole ones within 0 … 255; overwrites `scaled`."""
    return scaled.bitwise_right_shift_(16).clamp_(0, 255).to(torch.uint8)
