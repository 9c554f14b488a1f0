"""Crops that somebody else drew and wrote down: the recipe of logits that came with their boxes."""

import hashlib
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import Field, PrivateAttr

from cache_kd.errors import ConfigError
from cache_kd.types import Knobs, Pictures, Recorded, RecordedTable, Samples, Sizes, Views, ViewTensor
from cache_kd.views.frame import sizes_of
from cache_kd.views.limits import Side
from cache_kd.views.recipe import CPU, Album, Recipe
from cache_kd.views.resize import Backend
from cache_kd.views.squares import boxes_as_squares, centres_as_squares


@runtime_checkable
class KnobTable(Protocol):
    """Where the recorded boxes are; it travels to worker processes."""

    def rows(self, view: int, samples: Samples) -> Recorded:
        """Top, left, height and width of each box as shares of its picture, and 1 where the view is mirrored.

        Raises:
            KdCacheError: they cannot be read.
        """


class RecordedCrops(Recipe):
    """Crops that were recorded with the logits, resized to `size` x `size`; the seed decides nothing.

    `kdcache import` makes stores of this recipe, and such a store holds the boxes. A box in shares of its picture
    becomes pixels by rounding its four edges, as Pillow crops. Test images: shorter side to `size` * 256 / 224, then
    the centre.

    Attributes:
        table: sha256 of all boxes, which are in the store.
        size: side of the views, pixels.
        resize: what resizes, for test images too; see the recipe rrc.
    """

    name: Literal["recorded"] = "recorded"
    table: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Side = 224
    resize: Backend = "pillow-bilinear-width-height/1"

    _boxes: KnobTable | None = PrivateAttr(default=None)

    def equipped(self, boxes: KnobTable) -> "RecordedCrops":
        """This recipe with its boxes, ready to render."""
        copy = self.model_copy()
        copy._boxes = boxes
        return copy

    @property
    def cpu_only(self) -> bool:
        """An image library resizes."""
        return True

    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """Look up, then render; see `Recipe.view`."""
        del seed
        if device.type != "cpu" or self._boxes is None:
            lacking = f"not on {device}" if self._boxes is not None else "and there are none here"
            raise ConfigError(
                f"The recipe 'recorded' shows boxes that a store of imported logits holds, on the CPU, {lacking}. "
                "Train from that store; for views of another store or run take 'rrc'."
            )
        pictures = album.images(samples)
        knobs = pixel_boxes(self._boxes.rows(view, samples), sizes_of(pictures))
        views = boxes_as_squares(pictures, knobs, self.size, self.resize)
        return torch.from_numpy(np.ascontiguousarray(views))

    def evaluate(self, pictures: Pictures) -> Views:
        """Shorter side to `size` * 256 / 224, then the central `size` x `size`."""
        return centres_as_squares(pictures, self.size, self.resize)


def table_digest(table: RecordedTable) -> str:
    """What the field `table` of a recipe says of these boxes."""
    return hashlib.sha256(np.ascontiguousarray(table, dtype="<f4").data).hexdigest()


def pixel_boxes(recorded: Recorded, sizes: Sizes) -> Knobs:
    """Boxes in pixels: top, left, height, width, mirrored.

    A box that rounding takes beyond the picture ends with it, and no box is empty.

    Args:
        recorded: as shares of the pictures.
        sizes: of the pictures, pixels.
    """
    first = recorded[:, :2].astype(np.float64) * sizes
    last = first + recorded[:, 2:4].astype(np.float64) * sizes
    # half a pixel goes to the even side, as Python and so Pillow have it
    start = np.clip(np.rint(first).astype(np.int64), 0, sizes - 1)
    stop = np.clip(np.rint(last).astype(np.int64), start + 1, sizes)
    return np.column_stack([start, stop - start, recorded[:, 4].astype(np.int64)])
