"""Batches that join views, labels and the teacher's logits by sample, made ahead of the training step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache_kd.ahead import ahead
from cache_kd.proof import PixelProof
from cache_kd.sources.source import Source
from cache_kd.types import LabelArray, LogitArray, Order, Samples, ViewTensor
from cache_kd.views import Recipe, permutation

RowsOfLogits = Callable[[Samples], LogitArray]
TeacherRows = Callable[[int], RowsOfLogits]  # view number -> the logits of any samples in it


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch, on the CPU: uint8 pictures, their labels, and the cached logits where there are stores.

    With several views of each sample the rows are all samples of the first view, then all of the next.
    """

    samples: Samples  # each once
    views: tuple[int, ...]
    pixels: Tensor  # uint8 [views x samples, height, width, channels]
    labels: Tensor  # int64 [views x samples]
    teachers: tuple[Tensor, ...]  # float32 [views x samples, classes] each, one per store


def epoch_order(samples: int, batch_size: int, *, seed: int, epoch: int) -> Order:
    """The batches of one epoch: a keyed permutation of all samples, cut in order; the last may be short.

    A pure function, so a resumed run sees the batches that the interrupted one would have seen.
    """
    order = permutation(seed, "epoch order", samples, epoch)
    return [order[start : start + batch_size] for start in range(0, samples, batch_size)]


def epoch_views(epoch: int, count: int, stored: int | None) -> tuple[int, ...]:
    """The views of one epoch: one after the other, and round again where a store has no more.

    >>> epoch_views(0, 1, 4), epoch_views(5, 1, 4), epoch_views(1, 2, 4), epoch_views(1, 2, 3)
    ((0,), (1,), (2, 3), (2, 0))

    Args:
        epoch: from 0.
        count: views of each sample in a batch.
        stored: views in the store, at least `count`; None for new ones in every epoch.
    """
    views = range(epoch * count, (epoch + 1) * count)
    return tuple(views if stored is None else (view % stored for view in views))


def render_part(part: str, source: Source, recipe: Recipe, seed: int, samples: Samples, view: int) -> ViewTensor:
    """What a teacher sees of some samples: keyed views of the `train` part, plain views of the `test` part."""
    if part == "test":
        return torch.from_numpy(np.ascontiguousarray(recipe.evaluate(source.images(samples))))
    return recipe.view(source, seed, samples, view)


@dataclass(frozen=True, kw_only=True)
class ViewStream:
    """The pictures of one source under one recipe and seed, joined with logits where there are any.

    Args:
        source: where images and labels come from.
        recipe: how views are made.
        seed: of the views.
        teachers: the cached logits, one per store; none without a store.
        proof: compares pixels with the store's digests; None without a store.
        pin: put batches into page-locked memory, for a CUDA device.
    """

    source: Source
    recipe: Recipe
    seed: int
    teachers: tuple[TeacherRows, ...] = ()
    proof: PixelProof | None = None
    pin: bool = False

    def batches(self, order: Order, views: tuple[int, ...]) -> Iterator[Batch]:
        """One batch per entry of `order`, each with all of `views`, made ahead in a thread."""
        labels = self.source.labels()
        rows = [[teacher(view) for view in views] for teacher in self.teachers]
        return ahead(self._batch(samples, views, labels, rows) for samples in order)

    def _batch(
        self, samples: Samples, views: tuple[int, ...], labels: LabelArray, rows: list[list[RowsOfLogits]]
    ) -> Batch:
        pixels = [self._pixels(samples, view) for view in views]
        return Batch(
            samples=samples,
            views=views,
            pixels=self._pinned(pixels[0] if len(pixels) == 1 else torch.cat(pixels)),
            labels=self._tensor(np.tile(labels[samples], len(views))),
            teachers=tuple(self._tensor(_stacked([of_view(samples) for of_view in teacher])) for teacher in rows),
        )

    def _pixels(self, samples: Samples, view: int) -> ViewTensor:
        pixels = render_part("train", self.source, self.recipe, self.seed, samples, view)
        if self.proof is not None:
            self.proof(pixels, samples, view)
        return pixels

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return self._pinned(torch.from_numpy(array))

    def _pinned(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self.pin else tensor


def _stacked(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
