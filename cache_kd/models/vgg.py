"""The VGGs with batch normalisation of the CIFAR distillation literature: five blocks and one linear layer.

Module names follow the state dicts that the literature publishes, so that those load.
"""

from torch import Tensor, nn
from torch.nn import functional

from cache_kd.models.initialise import initialise_classifier, initialise_convolutions
from cache_kd.types import Images, Logits

PAPER = "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015"

_WIDTHS = (64, 128, 256, 512, 512)
_LARGE = 64  # pixels; from here on the fourth block is pooled, too

# name -> convolutions of each block; vgg8 is the literature's, the others are the paper's A, B, D and E
ARCHITECTURES = {
    "vgg8": ((1, 1, 1, 1, 1),),
    "vgg11": ((1, 1, 2, 2, 2),),
    "vgg13": ((2, 2, 2, 2, 2),),
    "vgg16": ((2, 2, 3, 3, 3),),
    "vgg19": ((2, 2, 4, 4, 4),),
}


class Vgg(nn.Module):
    """Blocks of 3x3 convolutions with pooling between them; any image size from 8x8 on.

    Against the paper: batch normalisation, a mean over all places instead of the last pooling, and one linear layer
    instead of three. Pictures below 64x64 are pooled three times, larger ones four times.

    Args:
        depths: convolutions of each of the five blocks.
        classes: outputs.
        channels: of the input; 3 for colour, 1 for grey.
    """

    def __init__(self, depths: tuple[int, ...], *, classes: int, channels: int) -> None:
        super().__init__()
        narrow = (channels, *_WIDTHS[:-1])
        blocks = [_block(*shape) for shape in zip(narrow, _WIDTHS, depths, strict=True)]
        self.block0, self.block1, self.block2, self.block3, self.block4 = blocks
        self.classifier = nn.Linear(_WIDTHS[-1], classes)
        initialise_convolutions(self)
        initialise_classifier(self.classifier)

    def forward(self, images: Images) -> Logits:
        """Logits of `images`."""
        features: Tensor = images
        for block in (self.block0, self.block1, self.block2):
            features = functional.max_pool2d(functional.relu(block(features)), 2)
        features = functional.relu(self.block3(features))
        if images.shape[2] >= _LARGE:
            features = functional.max_pool2d(features, 2)
        features = functional.relu(self.block4(features))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def _block(narrow: int, wide: int, depth: int) -> nn.Sequential:
    """Convolutions with batch normalisation; the activation after the last one is the model's."""
    layers: list[nn.Module] = []
    for place in range(depth):
        layers += [nn.Conv2d(wide if place else narrow, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
