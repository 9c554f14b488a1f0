"""Batches that join views, labels and the teacher's logits by sample, made ahead of the training step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, tee
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache_kd.proof import PixelProof
from cache_kd.rendering import Renderer, Request
from cache_kd.types import AllLabels, AnyViews, BatchOfSamples, Labels, LogitArray, MixedLabels, Samples, ViewTensor

RowsOfLogits = Callable[[Samples], LogitArray]
TeacherRows = Callable[[int], RowsOfLogits]  # view number -> the logits of any samples in it


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch: uint8 pictures, their labels, and the cached logits where there are stores.

    With several views of each sample the rows are all samples of the first view, then all of the next.
    """

    samples: Samples  # each once
    views: tuple[int, ...]
    pixels: tuple[AnyViews, ...]  # uint8 [rows, height, width, channels]; one for each run of views of one size
    labels: Tensor  # int64 [views x samples]; float32 [views x samples, classes] where views are mixed
    teachers: tuple[Tensor, ...]  # float32 [views x samples, classes] each, one per store


@dataclass(frozen=True, kw_only=True)
class ViewStream:
    """The pictures of one source under one recipe and seed, joined with logits where there are any.

    Args:
        renderer: gives the views of the part `train`.
        teachers: the cached logits, one per store; none without a store.
        proof: compares pixels with the store's digests; None without a store.
        pin: put batches into page-locked memory, for a CUDA device.
    """

    renderer: Renderer
    teachers: tuple[TeacherRows, ...] = ()
    proof: PixelProof | None = None
    pin: bool = False

    def batches(self, order: Iterable[BatchOfSamples], views: tuple[int, ...]) -> Iterator[Batch]:
        """One batch per entry of `order`, each with all of `views`, made ahead.

        Raises:
            KdCacheError: a picture cannot be read or rendered, or is not the one that the teacher saw.
        """
        asked, joined = tee(order)
        rendered = self.renderer.views(Request("train", samples, view) for samples in asked for view in views)
        rows = [[teacher(view) for view in views] for teacher in self.teachers]
        labels = torch.from_numpy(self.renderer.rendering.sources["train"].labels())
        return self.renderer.ahead(
            self._batch(samples, views, [next(rendered).pixels for _ in views], labels, rows) for samples in joined
        )

    def _batch(
        self,
        samples: Samples,
        views: tuple[int, ...],
        pixels: list[AnyViews],
        labels: AllLabels,
        rows: list[list[RowsOfLogits]],
    ) -> Batch:
        if self.proof is not None:
            for view, of_view in zip(views, pixels, strict=True):
                self.proof(of_view, samples, view)
        shown = list(zip(views, pixels, strict=True))
        of_one_size = [list(run) for _, run in groupby(pixels, key=lambda each: each.shape)]
        logits = [torch.from_numpy(_stacked([of_view(samples) for of_view in teacher])) for teacher in rows]
        return Batch(
            samples=samples,
            views=views,
            pixels=tuple(self._pinned(_together(run)) for run in of_one_size),
            labels=self._pinned(_together([self._mixed(labels, samples, *each) for each in shown])),
            teachers=tuple(self._pinned(of_teacher) for of_teacher in logits),
        )

    def _mixed(self, labels: AllLabels, samples: Samples, view: int, pixels: ViewTensor) -> Labels | MixedLabels:
        """The labels of one view: one class each where the recipe mixes nothing."""
        rendering = self.renderer.rendering
        height, width = pixels.shape[1:3]
        mixing = rendering.recipe.mixing(rendering.seed, samples, view, rows=len(labels), height=height, width=width)
        if mixing is None:
            return labels[samples]
        classes = rendering.sources["train"].classes
        return mixing.labels(labels[samples], labels[mixing.partners], classes)

    def _pinned(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self.pin and tensor.device.type == "cpu" else tensor


def _together(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _stacked(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
