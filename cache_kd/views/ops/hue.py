"""Turning the hue, in integers; each row by its own share of the colour circle."""

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, PixelTensor


def hue(pixels: PixelTensor, turn: FixedPoint) -> PixelTensor:
    """Turn every colour on the circle of hues by `turn` / 65536 of it; grey stays, and so does a grey picture.

    As in torchvision, lightest and darkest channel keep their values. The position on the circle is kept in units of
    1 / 65536 of the difference of the two, so that nothing is rounded before the last step and no turn changes nothing.

    Args:
        pixels: grey or RGB.
        turn: -32768 ... 32768, half of the circle back or forth.
    """
    if pixels.shape[3] == 1:
        return pixels.clone(memory_format=torch.contiguous_format)
    red, green, blue = (channel.to(torch.int32) for channel in pixels.unbind(3))
    darkest = torch.minimum(torch.minimum(red, green), blue)
    lightest = torch.maximum(torch.maximum(red, green), blue)
    spread = lightest - darkest
    # six sextants of one `spread` each: red stands at 0, green at 2, blue at 4
    from_green = 2 * spread + blue - red
    from_blue = 4 * spread + red - green
    place = torch.where(lightest == red, green - blue, torch.where(lightest == green, from_green, from_blue))
    # no place is more than eight sextants from another, of at most 255 * 65536 each: below 2**31
    place = (place << 16) + spread * (6 * turn.to(torch.int32))[:, None, None]
    sextant = spread << 16
    turned = torch.empty_like(pixels, memory_format=torch.contiguous_format)
    for channel in range(3):
        # at its own place a channel is full for a sextant to both sides, then falls to nothing within the next one
        away = _around(place - 2 * channel * sextant, sextant)
        above = torch.minimum((2 * sextant - away).clamp_(min=0), sextant)
        turned[..., channel] = (darkest + (above + (1 << 15) >> 16)).to(torch.uint8)
    return turned


def _around(place: Tensor, sextant: Tensor) -> Tensor:
    """How far `place` is from 0 on a circle of six sextants, for places less than nine sextants away."""
    away = place.abs()
    return torch.minimum(away, (6 * sextant - away).abs())
