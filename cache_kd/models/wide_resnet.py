"""The wide ResNets of the CIFAR distillation literature, in pre-activation form.

Module names follow the state dicts that the literature publishes, so that those load.
"""

from torch import Tensor, nn
from torch.nn import functional

from cache_kd.models.initialise import initialise_convolutions
from cache_kd.types import Images, Logits

PAPER = "Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016"

# name -> (depth, widening factor)
ARCHITECTURES = {"wrn_16_1": (16, 1), "wrn_16_2": (16, 2), "wrn_40_1": (40, 1), "wrn_40_2": (40, 2)}


class WideResNet(nn.Module):
    """6n + 4 layers in three stages of n pre-activation blocks; any image size from 8x8 on.

    Args:
        depth: 6n + 4.
        widening: factor on the 16, 32, 64 channels of the stages.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(self, depth: int, widening: int, *, classes: int, channels: int) -> None:
        super().__init__()
        assert (depth - 4) % 6 == 0, depth
        blocks = (depth - 4) // 6
        widths = [16 * widening, 32 * widening, 64 * widening]
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = WideStage(16, widths[0], blocks, stride=1)
        self.block2 = WideStage(widths[0], widths[1], blocks, stride=2)
        self.block3 = WideStage(widths[1], widths[2], blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.fc = nn.Linear(widths[2], classes)
        initialise_convolutions(self)
        nn.init.zeros_(self.fc.bias)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features = self.block3(self.block2(self.block1(self.conv1(images))))
        features = functional.relu(self.bn1(features))
        logits: Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits


class WideStage(nn.Module):
    """A run of blocks; the first one changes the shape."""

    def __init__(self, narrow: int, wide: int, blocks: int, stride: int) -> None:
        super().__init__()
        first = WideBlock(narrow, wide, stride)
        self.layer = nn.Sequential(first, *(WideBlock(wide, wide, 1) for _ in range(blocks - 1)))

    def forward(self, features: Tensor) -> Tensor:
        """Features after the stage."""
        after: Tensor = self.layer(features)
        return after


class WideBlock(nn.Module):
    """Two pre-activated 3x3 convolutions beside a shortcut."""

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        same = narrow == wide
        self.convShortcut = None if same else nn.Conv2d(narrow, wide, 1, stride=stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features after the block; where the shape changes the shortcut starts after the activation."""
        active = functional.relu(self.bn1(features))
        shortcut = features if self.convShortcut is None else self.convShortcut(active)
        inner = functional.relu(self.bn2(self.conv1(active)))
        added: Tensor = shortcut + self.conv2(inner)
        return added
