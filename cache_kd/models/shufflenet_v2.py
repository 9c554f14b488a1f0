"""The ShuffleNetV2 of width 1 of the CIFAR distillation literature.

Module names follow the state dicts that the literature publishes, so that those load.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cache_kd.models.shuffle import shuffle_channels
from cache_kd.types import Images, Logits

PAPER = "Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018"

# name -> channels of the three stages and of the last convolution: the paper's table 5
ARCHITECTURES = {"ShuffleV2": ((116, 232, 464, 1024),)}

_STEM = 24
_DEPTHS = (3, 7, 3)  # units after the one that halves the picture


class ShuffleNetV2(nn.Module):
    """Three stages of split units between two 1x1 convolutions; any image size.

    Against the paper: the stem is a 1x1 convolution without stride or pooling, for small pictures.

    Args:
        widths: channels of the three stages and of the last convolution.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(self, widths: tuple[int, int, int, int], *, classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, _STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.layer1 = _stage(_STEM, widths[0], _DEPTHS[0])
        self.layer2 = _stage(widths[0], widths[1], _DEPTHS[1])
        self.layer3 = _stage(widths[1], widths[2], _DEPTHS[2])
        self.conv2 = nn.Conv2d(widths[2], widths[3], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.linear = nn.Linear(widths[3], classes)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        features = functional.relu(self.bn2(self.conv2(features)))
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


class SplitUnit(nn.Module):
    """One half of the channels passes through three convolutions, the other passes as it is; then both are shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the unit."""
        kept, taken = features.chunk(2, dim=1)
        taken = functional.relu(self.bn1(self.conv1(taken)))
        taken = self.bn2(self.conv2(taken))
        taken = functional.relu(self.bn3(self.conv3(taken)))
        return shuffle_channels(torch.cat([kept, taken], dim=1), 2)


class HalvingUnit(nn.Module):
    """Both branches see all channels and halve the picture; each gives half of the new channels."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        half = wide // 2
        self.conv1 = nn.Conv2d(narrow, narrow, 3, stride=2, padding=1, groups=narrow, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(narrow, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the unit."""
        short = functional.relu(self.bn2(self.conv2(self.bn1(self.conv1(features)))))
        long = functional.relu(self.bn3(self.conv3(features)))
        long = functional.relu(self.bn5(self.conv5(self.bn4(self.conv4(long)))))
        return shuffle_channels(torch.cat([short, long], dim=1), 2)


def _stage(narrow: int, wide: int, depth: int) -> nn.Sequential:
    return nn.Sequential(HalvingUnit(narrow, wide), *(SplitUnit(wide) for _ in range(depth)))
