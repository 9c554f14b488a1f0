"""The three-stage ResNets of the CIFAR distillation literature.

Module names follow the state dicts that the literature publishes, so that those load.
"""

from torch import Tensor, nn
from torch.nn import functional

from cache_kd.models.initialise import initialise_convolutions
from cache_kd.types import Images, Logits

PAPER = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"

# name -> (depth, widths of the stem and of the three stages)
ARCHITECTURES = {
    **{f"resnet{depth}": (depth, (16, 16, 32, 64)) for depth in (8, 14, 20, 32, 44, 56, 110)},
    "resnet8x4": (8, (32, 64, 128, 256)),
    "resnet32x4": (32, (32, 64, 128, 256)),
    # not of the literature: half of resnet8, small enough to train seven of them in a demo
    "resnet8x0.5": (8, (8, 8, 16, 32)),
}


class CifarResNet(nn.Module):
    """6n + 2 layers in three stages of n basic blocks (section 4.2 of the paper); any image size from 8x8 on.

    The four-fold widths are those of Tian et al., Contrastive Representation Distillation, ICLR 2020.

    Args:
        depth: 6n + 2.
        widths: channels of the stem and of the three stages.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(self, depth: int, widths: tuple[int, int, int, int], *, classes: int, channels: int) -> None:
        super().__init__()
        assert (depth - 2) % 6 == 0, depth
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = _stage(widths[0], widths[1], blocks, stride=1)
        self.layer2 = _stage(widths[1], widths[2], blocks, stride=2)
        self.layer3 = _stage(widths[2], widths[3], blocks, stride=2)
        self.fc = nn.Linear(widths[3], classes)
        initialise_convolutions(self)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.downsample = _shortcut(narrow, wide, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the block."""
        shortcut = features if self.downsample is None else self.downsample(features)
        inner = functional.relu(self.bn1(self.conv1(features)))
        return functional.relu(shortcut + self.bn2(self.conv2(inner)))


def _stage(narrow: int, wide: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(narrow, wide, stride)
    return nn.Sequential(first, *(BasicBlock(wide, wide, 1) for _ in range(blocks - 1)))


def _shortcut(narrow: int, wide: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and narrow == wide:
        return None
    return nn.Sequential(nn.Conv2d(narrow, wide, 1, stride=stride, bias=False), nn.BatchNorm2d(wide))
