"""The ShuffleNet of three groups of the CIFAR distillation literature.

Module names follow the state dicts that the literature publishes, so that those load.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cache_kd.models.shuffle import shuffle_channels
from cache_kd.types import Images, Logits

PAPER = "Zhang et al., ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices, CVPR 2018"

# name -> groups, and the channels that go with them in the paper's table 1
ARCHITECTURES = {"ShuffleV1": (3, (240, 480, 960))}

_STEM = 24
_DEPTHS = (4, 8, 4)


class ShuffleNetV1(nn.Module):
    """Three stages of grouped bottlenecks; any image size.

    Against the paper: the stem is a 1x1 convolution without stride or pooling, for small pictures.

    Args:
        groups: of the 1x1 convolutions.
        widths: channels of the three stages.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(self, groups: int, widths: tuple[int, int, int], *, classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, _STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        # the stem has too few channels to be worth grouping (section 3.2)
        self.layer1 = _stage(_STEM, widths[0], _DEPTHS[0], groups, first_groups=1)
        self.layer2 = _stage(widths[0], widths[1], _DEPTHS[1], groups, first_groups=groups)
        self.layer3 = _stage(widths[1], widths[2], _DEPTHS[2], groups, first_groups=groups)
        self.linear = nn.Linear(widths[2], classes)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


class ShuffleUnit(nn.Module):
    """A bottleneck of grouped 1x1 convolutions with a shuffle between them, added to its input.

    Where the picture is halved, the pooled input is put beside the new channels instead of being added to them.
    """

    def __init__(self, narrow: int, wide: int, groups: int, *, first_groups: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first_groups = first_groups
        added = wide - narrow if halves else wide
        inner = added // 4
        self.conv1 = nn.Conv2d(narrow, inner, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=2 if halves else 1, padding=1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, added, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(added)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the unit."""
        inner = shuffle_channels(functional.relu(self.bn1(self.conv1(features))), self.first_groups)
        # the literature's models keep an activation after the 3x3 convolution, which the paper leaves out
        inner = functional.relu(self.bn2(self.conv2(inner)))
        new = self.bn3(self.conv3(inner))
        if self.halves:
            return functional.relu(torch.cat([new, functional.avg_pool2d(features, 3, stride=2, padding=1)], dim=1))
        return functional.relu(new + features)


def _stage(narrow: int, wide: int, depth: int, groups: int, *, first_groups: int) -> nn.Sequential:
    first = ShuffleUnit(narrow, wide, groups, first_groups=first_groups, halves=True)
    rest = (ShuffleUnit(wide, wide, groups, first_groups=groups, halves=False) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)
