"""A model with the weights that its library publishes, and what the library says of them."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a library gives under a name of weights."""

    model: nn.Module
    classes: int
    normalise: dict[str, Any]  # {"mean": […], "std": […]}
