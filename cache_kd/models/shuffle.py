"""The channel shuffle of both ShuffleNets."""

from torch import Tensor


def shuffle_channels(features: Tensor, groups: int) -> Tensor:
    """Interleave the channels of `groups` groups, so that the next grouped convolution sees all of them.

    >>> import torch
    >>> shuffle_channels(torch.arange(6).reshape(1, 6, 1, 1), 2).flatten().tolist()
    [0, 3, 1, 4, 2, 5]
    """
    batch, channels, height, width = features.shape
    grouped = features.reshape(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)
