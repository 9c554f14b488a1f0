"""What every recipe is: a frozen config that turns a source's pictures into views, each a function of its key alone."""

from abc import ABC, abstractmethod
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from cache_kd.config import Config
from cache_kd.types import Pictures, Samples, Views, ViewTensor
from cache_kd.views.mixing import Mixing
from cache_kd.views.pairs import PairOrder

CPU = torch.device("cpu")


@runtime_checkable
class Album(Protocol):
    """Pictures by sample number: what a recipe needs of a source."""

    def __len__(self) -> int:
        """Number of samples."""

    def images(self, samples: Samples) -> Pictures:
        """The pictures of `samples`, in that order."""


class Recipe(Config, ABC):
    """How views are made; its fields, and so its JSON, hold everything that decides a pixel.

    A recipe is one file of this folder whose class has the file's name in the field `name`.
    """

    name: str
    # a recipe whose pixels change counts up, so that an old store is refused, not misread
    version: Literal[1] = 1
    # another key, counter layout or number of rounds in philox.py is another name
    randomness: Literal["philox4x32-10/1"] = "philox4x32-10/1"

    @abstractmethod
    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """View number `view` of each of `samples`; whatever else is in the batch changes nothing.

        Args:
            album: where the pictures are.
            seed: of the views.
            samples: row numbers in the album.
            view: number of the view, from 0.
            device: where the pixels are computed; the same ones everywhere.

        Raises:
            ConfigError: pictures of these sizes or channels cannot be rendered, or not on this device.
            SourceError: a picture cannot be read.
        """

    @abstractmethod
    def evaluate(self, pictures: Pictures) -> Views:
        """The plain view of each picture, for test data.

        Raises:
            ConfigError: as for `view`.
        """

    @property
    def cpu_only(self) -> bool:
        """Whether only the CPU gives these pixels: an image library or a user's function makes them."""
        return False

    @property
    def takes_the_generators(self) -> bool:
        """Whether rendering seeds the process's own generators, so that nothing may draw from them meanwhile."""
        return False

    @property
    def functions(self) -> tuple[str, ...]:
        """Every `package.module:function` that rendering imports; whoever reads a recipe asks its user first."""
        return ()

    @property
    def cycle(self) -> int:
        """After how many views their kind repeats: more than one where views of several kinds take turns."""
        return 1

    def changed(self) -> str | None:
        """What of this recipe's code is not as it was written down, in a few words; None where nothing is known."""
        return None

    def pairs(self, seed: int, rows: int, view: int) -> PairOrder | None:
        """Which of `rows` rows are mixed with each other in a view, so that an order can keep them together."""
        del seed, rows, view
        return None

    def mixing(self, seed: int, samples: Samples, view: int, *, rows: int, height: int, width: int) -> Mixing | None:
        """What was mixed into each view and how much, without rendering it; None where nothing is mixed.

        Args:
            seed: of the views.
            samples: row numbers in the album.
            view: number of the view.
            rows: length of the album.
            height: of the views, pixels.
            width: of the views, pixels.
        """
        del seed, samples, view, rows, height, width
        return None

    def to_json(self) -> dict[str, Any]:
        """What the manifest keeps; `make_recipe` takes it back."""
        return self.model_dump(mode="json")
