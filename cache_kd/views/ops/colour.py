"""Brightness, contrast, saturation and grey, in integers; each row with its own factor.

The definitions are those of torchvision's uint8 kernels: a blend with black, with the mean grey or with the grey
picture, cut off, not rounded. Those compute in float32, whose last bit depends on device and release; here factors are
in 1/65536, so that for factors of up to 2 a few values differ from torchvision's by one, and none between machines.
"""

import torch

from cache_kd.types import FixedPoint, LumaTensor, PixelTensor, PlanarTensor
from cache_kd.views.ops.fixed import ONE as ONE
from cache_kd.views.ops.fixed import interleaved, per_row, planar, to_bytes, widened

# of torchvision, in 1/65536. They add up to 0.9999, so that white becomes 254, there as here
LUMA = (19589, 38470, 7471)  # .2989 red, .587 green, .114 blue


def brightness(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with black: 0 is black, `ONE` the picture itself, at most 100 `ONE`."""
    return to_bytes(widened(pixels).mul_(per_row(factor)))


def contrast(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the mean of the grey picture: 0 is even grey, `ONE` the picture itself, at most 100 `ONE`."""
    _, height, width, _ = pixels.shape
    mean = _luma(planar(pixels)).sum((1, 2)) * ONE // (height * width)
    return to_bytes(widened(pixels).mul_(per_row(factor)).add_(per_row(mean * (ONE - factor) >> 16)))


def saturation(pixels: PixelTensor, factor: FixedPoint) -> PixelTensor:
    """Blend with the grey picture: 0 is grey, `ONE` the picture itself, at most 100 `ONE`; grey pictures stay."""
    if pixels.shape[3] == 1:
        return pixels.clone(memory_format=torch.contiguous_format)
    planes = planar(pixels)
    offset = _luma(planes)[:, None] * per_row(ONE - factor)
    return interleaved(to_bytes(planes.mul_(per_row(factor)).add_(offset)))


def grey(pixels: PixelTensor) -> PixelTensor:
    """The luma in every channel."""
    luma = _luma(planar(pixels)).to(torch.uint8)
    return interleaved(luma[:, None].expand(-1, pixels.shape[3], -1, -1))


def _luma(planes: PlanarTensor) -> LumaTensor:
    if planes.shape[1] == 1:
        return planes[:, 0]
    red, green, blue = planes.unbind(1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).bitwise_right_shift_(16)
