"""Brightness, contrast, saturation and grey, in integers; each row with its own factor.

The definitions are those of torchvision's uint8 kernels: a blend with black, with the mean grey or with the grey
picture, cut off, not rounded. Those compute in float32, whose last bit depends on device and release; here factors are
in 1/65536, so that a few values differ from torchvision's by one, and none differs between machines.
"""

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, LumaTensor, PixelTensor

ONE = 1 << 16  # 1.0 in fixed point

# of torchvision, in 1/65536. They add up to 0.9999, so that white becomes 254, there as here
LUMA = (19589, 38470, 7471)  # .2989 red, .587 green, .114 blue


def brightness(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with black: 0 is black, `ONE` the picture itself, at most 100 `ONE`."""
    return _to_bytes(pixels.to(torch.int32, memory_format=torch.contiguous_format).mul_(_per_row(factor)))


def contrast(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the mean of the grey picture: 0 is even grey, `ONE` the picture itself, at most 100 `ONE`."""
    _, height, width, _ = pixels.shape
    mean = _luma(pixels).sum((1, 2)) * ONE // (height * width)
    offset = mean * (ONE - factor) >> 16
    scaled = pixels.to(torch.int32, memory_format=torch.contiguous_format).mul_(_per_row(factor))
    return _to_bytes(scaled.add_(_per_row(offset)))


def saturation(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the grey picture: 0 is grey, `ONE` the picture itself, at most 100 `ONE`; grey pictures stay."""
    if pixels.shape[3] == 1:
        return pixels.clone(memory_format=torch.contiguous_format)
    offset = _luma(pixels).mul_(_per_row(ONE - factor)[..., 0])
    scale = _per_row(factor)[..., 0]
    blended = torch.empty_like(pixels, memory_format=torch.contiguous_format)
    # one channel at a time: an inner loop over three values takes twice as long
    for channel in range(3):
        blended[..., channel] = _to_bytes((pixels[..., channel].to(torch.int32) * scale).add_(offset))
    return blended


def grey(pixels: PixelTensor) -> PixelTensor:
    """The luma in every channel."""
    luma = _luma(pixels).to(torch.uint8)
    return luma[..., None].expand(pixels.shape).contiguous()


def _luma(pixels: PixelTensor) -> LumaTensor:
    if pixels.shape[3] == 1:
        return pixels[..., 0].to(torch.int32)
    red, green, blue = (channel.to(torch.int32) for channel in pixels.unbind(3))
    return red.mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).bitwise_right_shift_(16)


def _per_row(values: FixedPoint) -> Tensor:
    return values.to(torch.int32)[:, None, None, None]


def _to_bytes(scaled: Tensor) -> Tensor:
    return scaled.bitwise_right_shift_(16).clamp_(0, 255).to(torch.uint8)
