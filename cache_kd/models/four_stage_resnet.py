"""The four-stage ResNets of ImageNet with a stem for small pictures, as the CIFAR distillation literature has them.

Module names follow the state dicts that the literature publishes, so that those load.
"""

from torch import Tensor, nn
from torch.nn import functional

from cache_kd.models.initialise import initialise_convolutions
from cache_kd.types import Images, Logits

PAPER = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016"

_WIDTHS = (64, 128, 256, 512)
_EXPANSION = 4  # of a bottleneck


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.shortcut = _shortcut(narrow, wide, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the block."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


class Bottleneck(nn.Module):
    """Narrow by 1x1, filter by 3x3 (which has the stride), widen by 1x1, beside a shortcut."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        inner = wide // _EXPANSION
        self.conv1 = nn.Conv2d(narrow, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.shortcut = _shortcut(narrow, wide, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the block."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.bn3(self.conv3(inner)) + self.shortcut(features))


# name -> block, blocks of each stage, channels of each stage
ARCHITECTURES = {
    "ResNet18": (BasicBlock, (2, 2, 2, 2), _WIDTHS),
    "ResNet34": (BasicBlock, (3, 4, 6, 3), _WIDTHS),
    "ResNet50": (Bottleneck, (3, 4, 6, 3), tuple(_EXPANSION * width for width in _WIDTHS)),
}


class FourStageResNet(nn.Module):
    """Four stages of blocks; any image size from 8x8 on.

    Against the paper: the stem is a 3x3 convolution of 64 channels without stride or pooling, for small pictures.

    Args:
        block: BasicBlock or Bottleneck.
        depths: blocks of each stage.
        widths: channels after each stage.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        *,
        classes: int,
        channels: int,
    ) -> None:
        super().__init__()
        stem = _WIDTHS[0]
        self.conv1 = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        shapes = zip((stem, *widths[:-1]), widths, depths, (1, 2, 2, 2), strict=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(block, *shape) for shape in shapes)
        self.linear = nn.Linear(widths[-1], classes)
        initialise_convolutions(self)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


def _stage(
    block: type[BasicBlock] | type[Bottleneck], narrow: int, wide: int, depth: int, stride: int
) -> nn.Sequential:
    return nn.Sequential(block(narrow, wide, stride), *(block(wide, wide, 1) for _ in range(depth - 1)))


def _shortcut(narrow: int, wide: int, stride: int) -> nn.Sequential:
    """A 1x1 convolution where the shape changes; nothing elsewhere."""
    if stride == 1 and narrow == wide:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(narrow, wide, 1, stride=stride, bias=False), nn.BatchNorm2d(wide))
