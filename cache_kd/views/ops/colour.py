"""Brightness, contrast, saturation and grey, in integers; each row with its own factor.

The definitions are those of torchvision's uint8 kernels: a blend with black, with the mean grey or with the grey
picture, cut off, not rounded. Those compute in float32, whose last bit depends on device and release; here factors are
in 1/65536, so that a few values differ from torchvision's by one, and none differs between machines.
"""

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, LumaTensor, PixelTensor, PlanarTensor

ONE = 1 << 16  # 1.0 in fixed point

# of torchvision, in 1/65536. They add up to 0.9999, so that white becomes 254, there as here
LUMA = (19589, 38470, 7471)  # .2989 red, .587 green, .114 blue


def brightness(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with black: 0 is black, `ONE` the picture itself, at most 100 `ONE`."""
    return _to_bytes(_widened(pixels).mul_(_per_row(factor)))


def contrast(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the mean of the grey picture: 0 is even grey, `ONE` the picture itself, at most 100 `ONE`."""
    _, height, width, _ = pixels.shape
    mean = _luma(_planar(pixels)).sum((1, 2)) * ONE // (height * width)
    return _to_bytes(_widened(pixels).mul_(_per_row(factor)).add_(_per_row(mean * (ONE - factor) >> 16)))


def saturation(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the grey picture: 0 is grey, `ONE` the picture itself, at most 100 `ONE`; grey pictures stay."""
    if pixels.shape[3] == 1:
        return pixels.clone(memory_format=torch.contiguous_format)
    planar = _planar(pixels)
    offset = _luma(planar)[:, None] * _per_row(ONE - factor)
    return _interleaved(_to_bytes(planar.mul_(_per_row(factor)).add_(offset)))


def grey(pixels: PixelTensor) -> PixelTensor:
    """The luma in every channel."""
    luma = _luma(_planar(pixels)).to(torch.uint8)
    return _interleaved(luma[:, None].expand(-1, pixels.shape[3], -1, -1))


def _widened(pixels: Tensor) -> Tensor:
    return pixels.to(torch.int32, memory_format=torch.contiguous_format)


def _planar(pixels: PixelTensor) -> PlanarTensor:
    """One plane per channel: loops over three interleaved values take twice as long."""
    return _widened(pixels.permute(0, 3, 1, 2))


def _interleaved(planar: Tensor) -> PixelTensor:
    pixels = torch.empty_like(planar.permute(0, 2, 3, 1), memory_format=torch.contiguous_format)
    for channel, plane in enumerate(planar.unbind(1)):
        pixels[..., channel] = plane
    return pixels


def _luma(planar: PlanarTensor) -> LumaTensor:
    if planar.shape[1] == 1:
        return planar[:, 0]
    red, green, blue = planar.unbind(1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).bitwise_right_shift_(16)


def _per_row(values: FixedPoint) -> Tensor:
    return values.to(torch.int32)[:, None, None, None]


def _to_bytes(scaled: Tensor) -> Tensor:
    return scaled.bitwise_right_shift_(16).clamp_(0, 255).to(torch.uint8)
