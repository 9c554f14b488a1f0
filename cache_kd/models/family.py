"""What the models of one paper have in common, as the zoo lists them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Family:
    """The models that one class builds."""

    title: str
    paper: str  # authors, title, venue and year
    constructor: Callable[..., nn.Module]
    architectures: Mapping[str, tuple[Any, ...]]  # name -> what the constructor takes before classes and channels
    pictures: int = 32  # height and width that the models are made for

    @property
    def reference(self) -> str:
        """The paper in short: `He et al., CVPR 2016`."""
        return f"{self.paper.partition(',')[0]},{self.paper.rpartition(',')[2]}"

    def build(self, name: str, *, classes: int, channels: int) -> nn.Module:
        """The model `name`, freshly initialised."""
        return self.constructor(*self.architectures[name], classes=classes, channels=channels)
