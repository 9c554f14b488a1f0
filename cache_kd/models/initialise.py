"""How the literature initialises convolutions and classifiers."""

from torch import nn


def initialise_convolutions(model: nn.Module) -> None:
    """Normal weights of variance 2 / (kernel area x output channels), no bias.

    References: He et al., Delving Deep into Rectifiers, ICCV 2015.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_classifier(layer: nn.Linear) -> None:
    """Normal weights of standard deviation 0.01, no bias."""
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
