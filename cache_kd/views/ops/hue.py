"""Turning the hue, in integers; each row by its own share of the colour circle."""

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, PixelTensor


def hue(pixels: PixelTensor, turn: FixedPoint) -> PixelTensor:
    """Turn every colour on the circle of hues by `turn` / 65536 of it; grey stays, and so does a grey picture.

    As in torchvision, lightest and darkest channel keep their values. The place on the circle is kept in units of
    1 / 65536 of the difference of the two, so that nothing is rounded before the last step and no turn changes nothing.

    Args:
        pixels: grey or RGB.
        turn: -32768 ... 32768, half of the circle back or forth.
    """
    if pixels.shape[3] == 1:
        return pixels.clone(memory_format=torch.contiguous_format)
    planes = pixels.permute(0, 3, 1, 2).to(torch.int32, memory_format=torch.contiguous_format)
    darkest, lightest = planes.amin(1), planes.amax(1)
    spread = lightest - darkest
    # no place is more than eight sextants from another, of at most 255 * 65536 each: below 2**31
    sextant = spread << 16
    place = _place(planes, lightest, spread).bitwise_left_shift_(16)
    place.addcmul_(spread, 6 * turn.to(torch.int32)[:, None, None])
    place = torch.where(place < 0, place + 6 * sextant, place)
    place = torch.where(place >= 6 * sextant, place - 6 * sextant, place)
    # a channel is full for a sextant to both sides of its own place, and falls to nothing within the next ones:
    # green around 2, blue around 4, and red is what is left by the same slope around 3
    above = (
        (place - 3 * sextant).abs_().sub_(sextant),
        2 * sextant - (place - 2 * sextant).abs_(),
        2 * sextant - (place - 4 * sextant).abs_(),
    )
    turned = torch.empty_like(pixels, memory_format=torch.contiguous_format)
    for channel, share in enumerate(above):
        share = torch.minimum(share.clamp_(min=0), sextant)
        turned[..., channel] = share.add_(1 << 15).bitwise_right_shift_(16).add_(darkest)
    return turned


def _place(planes: Tensor, lightest: Tensor, spread: Tensor) -> Tensor:
    """Where each colour stands on a circle of six sextants, one `spread` each: red at 0, green at 2, blue at 4."""
    red, green, blue = planes.unbind(1)
    from_green = (blue - red).add_(spread, alpha=2)
    from_blue = (red - green).add_(spread, alpha=4)
    return torch.where(lightest == red, green - blue, torch.where(lightest == green, from_green, from_blue))
