"""Shear, shift and turn: pixels fetched from where an integer matrix says, black from outside.

The places are torchvision's. Where one is in the middle between two pixels, half is rounded up; float32 draws lots
there: up to a tenth of the pixels differ at a few strengths of shear, 0.2 among them, else below one in a thousand.
"""

import torch
from torch import Tensor

from cache_kd.types import FixedPoint, MatrixTensor, PerRow, PixelTensor, PlaceTensor
from cache_kd.views.ops.fixed import ONE

BYTES_PER_WORD = 4
FRAME = 1  # pixels


def affine(pixels: PixelTensor, matrix: MatrixTensor) -> PixelTensor:
    """Each pixel is the one nearest to where its row's matrix takes it from; outside of the picture it is black.

    Args:
        pixels: up to four channels; height and width of up to 16,000 pixels, so that places fit 32 bits.
        matrix: takes (column, row, 1) of the result to column and row in `pixels`, in 1/65536.
    """
    _, height, width, channels = pixels.shape
    # black all around, so that what lies outside is fetched from the frame
    framed = pixels.new_zeros((len(pixels), height + 2 * FRAME, width + 2 * FRAME, BYTES_PER_WORD))
    for channel in range(channels):
        framed[:, FRAME:-FRAME, FRAME:-FRAME, channel] = pixels[..., channel]
    column, row = (_nearest(part, height, width) for part in matrix.unbind(1))
    place = column.clamp_(0, width + 1).add_(row.clamp_(0, height + 1), alpha=width + 2 * FRAME)
    # whole pixels are fetched as words, which takes a third of the time of single bytes
    words = framed.view(torch.int32).flatten(1).gather(1, place.flatten(1).to(torch.int64))
    fetched = words.view(torch.uint8).view(-1, height, width, BYTES_PER_WORD)
    moved = torch.empty_like(pixels, memory_format=torch.contiguous_format)
    for channel in range(channels):
        moved[..., channel] = fetched[..., channel]
    return moved


def shear_x(amount: FixedPoint) -> MatrixTensor:
    """The matrix that takes each row of pixels from `amount` times its own depth further right."""
    one, zero = torch.full_like(amount, ONE), torch.zeros_like(amount)
    # a row lies as deep as its middle, half a pixel below its upper edge
    return _matrix(one, amount, amount // 2, zero, one, zero)


def shear_y(amount: FixedPoint) -> MatrixTensor:
    """The matrix that takes each column of pixels from `amount` times its distance from the left further down."""
    one, zero = torch.full_like(amount, ONE), torch.zeros_like(amount)
    return _matrix(one, zero, zero, amount, one, amount // 2)


def shift(right: PerRow, down: PerRow) -> MatrixTensor:
    """The matrix that moves pictures by whole pixels."""
    one, zero = torch.full_like(right, ONE), torch.zeros_like(right)
    return _matrix(one, zero, -ONE * right, zero, one, -ONE * down)


def turn(cosine: FixedPoint, sine: FixedPoint, height: int, width: int) -> MatrixTensor:
    """The matrix that turns pictures about their centre, counter-clockwise where `sine` is positive."""
    across, down = width - 1, height - 1
    from_left = (ONE * across - cosine * across + sine * down) // 2
    from_top = (ONE * down - sine * across - cosine * down) // 2
    return _matrix(cosine, -sine, from_left, sine, cosine, from_top)


def _matrix(*entries: FixedPoint) -> MatrixTensor:
    return torch.stack(entries, 1).view(-1, 2, 3)


def _nearest(part: Tensor, height: int, width: int) -> PlaceTensor:
    """The column or row in the framed picture, half a pixel rounded up."""
    from_column, from_row, start = part[:, :, None].unbind(1)
    across = from_column * torch.arange(width, device=part.device)
    down = from_row * torch.arange(height, device=part.device) + start + FRAME * ONE + ONE // 2
    return (down.to(torch.int32)[:, :, None] + across.to(torch.int32)[:, None, :]).bitwise_right_shift_(16)
