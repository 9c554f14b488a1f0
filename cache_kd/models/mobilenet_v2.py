"""The MobileNetV2 of half width of the CIFAR distillation literature.

Module names follow the state dicts that the literature publishes, so that those load.
"""

from torch import Tensor, nn

from cache_kd.models.initialise import initialise_classifier, initialise_convolutions
from cache_kd.types import Images, Logits

PAPER = "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018"

# name -> factor on all widths but the last
ARCHITECTURES = {"MobileNetV2": (0.5,)}

# expansion, channels, blocks, stride of the first one: the paper's table 2, whose second stage has stride 2
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST = 1280


class MobileNetV2(nn.Module):
    """Seven stages of inverted residuals between two convolutions; any image size.

    Against the paper: one stride less, so that 32x32 pictures keep 2x2 places; ReLU without a ceiling; an expanding
    convolution in the first block, too; no dropout.

    Args:
        width: factor on the paper's channels.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(self, width: float, *, classes: int, channels: int) -> None:
        super().__init__()
        narrow = int(32 * width)
        self.conv1 = _activated(nn.Conv2d(channels, narrow, 3, stride=2, padding=1, bias=False))
        self.blocks = nn.ModuleList()
        for expansion, base, depth, stride in _STAGES:
            wide = int(base * width)
            first = InvertedResidual(narrow, wide, stride, expansion)
            rest = (InvertedResidual(wide, wide, 1, expansion) for _ in range(depth - 1))
            self.blocks.append(nn.Sequential(first, *rest))
            narrow = wide
        self.conv2 = _activated(nn.Conv2d(narrow, _LAST, 1, bias=False))
        classifier = nn.Linear(_LAST, classes)
        self.classifier = nn.Sequential(classifier)
        initialise_convolutions(self)
        initialise_classifier(classifier)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features = self.conv1(images)
        for stage in self.blocks:
            features = stage(features)
        logits: Tensor = self.classifier(self.conv2(features).mean(dim=(2, 3)))
        return logits


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1 without activation; a shortcut where shapes agree."""

    def __init__(self, narrow: int, wide: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = narrow * expansion
        self.has_shortcut = stride == 1 and narrow == wide
        self.conv = nn.Sequential(
            *_activated(nn.Conv2d(narrow, inner, 1, bias=False)),
            *_activated(nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False)),
            nn.Conv2d(inner, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features after the block."""
        after: Tensor = self.conv(features)
        return features + after if self.has_shortcut else after


def _activated(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())
