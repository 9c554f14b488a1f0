"""Which pixels lie in a box, each row with its own."""

import torch
from torch import Tensor

from cache_kd.types import BoxTensor, ByteMask


def in_box(boxes: BoxTensor, height: int, width: int, channels: int) -> ByteMask:
    """255 inside the box of each row, 0 outside; for pixels of that size.

    Args:
        boxes: top, left, height, width; they may reach beyond the picture.
        height: of the pictures, pixels.
        width: likewise.
        channels: all of a pixel are inside, or none.
    """
    top, left, box_height, box_width = boxes.T[:, :, None]
    row = torch.arange(height, device=boxes.device) - top
    # a byte for each value of a line: loops over three channels, and over bool, take many times as long
    column = torch.arange(width, device=boxes.device).repeat_interleave(channels) - left
    rows = ((row >= 0) & (row < box_height)).to(torch.uint8).neg_()
    columns = ((column >= 0) & (column < box_width)).to(torch.uint8).neg_()
    lines: Tensor = rows[:, :, None] & columns[:, None, :]
    return lines.reshape(-1, height, width, channels)
