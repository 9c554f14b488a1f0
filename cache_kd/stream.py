"""Batches that join views, labels and the teacher's logits by sample, made ahead of the training step."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, tee

import torch
from torch import Tensor

from cache_kd.proof import PixelProof
from cache_kd.rendering import Renderer, Request
from cache_kd.store.cached_rows import RowsOfSamples
from cache_kd.store.encoded import EncodedRows
from cache_kd.store.windows import Windows
from cache_kd.types import AllLabels, AnyViews, BatchOfSamples, Labels, MixedLabels, Samples, ViewTensor

# views of an epoch, and the windows in which its samples come -> the encoded logits of any samples in these views
TeacherRows = Callable[[tuple[int, ...], Windows | None], RowsOfSamples]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch: uint8 pictures, their labels, and the cached logits where there are stores.

    With several views of each sample the rows are all samples of the first view, then all of the next.
    """

    samples: Samples  # each once
    views: tuple[int, ...]
    pixels: tuple[AnyViews, ...]  # uint8 [rows, height, width, channels]; one for each run of views of one size
    labels: Tensor  # int64 [views x samples]; float32 [views x samples, classes] where views are mixed
    teachers: tuple[EncodedRows, ...]  # [views x samples] rows each, one per store; decoded where they are needed


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

    def batches(
        self, order: Iterable[BatchOfSamples], views: tuple[int, ...], windows: Windows | None = None
    ) -> Iterator[Batch]:
        """One batch per entry of `order`, each with all of `views`, made ahead.

        Args:
            order: the samples of each batch.
            views: of every batch.
            windows: those in which the samples of `order` come, where the logits of whole views are too many to be
                held; the batches are the same ones with and without.

        Raises:
            KdCacheError: a picture cannot be read or rendered, or is not the one that the teacher saw.
        """
        rows = [teacher(views, windows) for teacher in self.teachers]
        asked, joined = tee(order)
        rendered = self.renderer.views(Request("train", samples, view) for samples in asked for view in views)
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
        rows: list[RowsOfSamples],
    ) -> Batch:
        if self.proof is not None:
            for view, of_view in zip(views, pixels, strict=True):
                self.proof(of_view, samples, view)
        shown = list(zip(views, pixels, strict=True))
        of_one_size = [list(run) for _, run in groupby(pixels, key=lambda each: each.shape)]
        return Batch(
            samples=samples,
            views=views,
            pixels=tuple(self._pinned(_together(run)) for run in of_one_size),
            labels=self._pinned(_together([self._mixed(labels, samples, *each) for each in shown])),
            teachers=tuple(
                of_teacher(samples).pin_memory() if self.pin else of_teacher(samples) for of_teacher in rows
            ),
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
