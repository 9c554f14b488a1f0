"""A store opened together with the images it was made from: one path gives pictures, labels and logits."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from cache_kd.device import describe_environment
from cache_kd.errors import ConfigError, PixelDrift, UnprovenAlignment
from cache_kd.models.normalise import Normalise
from cache_kd.order import EpochOrder, OrderConfig
from cache_kd.proof import Check, PixelProof
from cache_kd.rendering import Renderer, Rendering
from cache_kd.sources.source import Source
from cache_kd.store.cached_rows import CachedRows
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader
from cache_kd.stored import open_stored_recipe, open_stored_source
from cache_kd.stream import Batch, TeacherRows, ViewStream
from cache_kd.types import AnyImages, Images, Labels, Logits, MixedLabels, Samples
from cache_kd.view_schedule import ViewSchedule, views_of
from cache_kd.views import Recipe
from cache_kd.witness import LIMIT, Verdict, judge

LoadedBatch = tuple[Images | list[AnyImages], Labels | MixedLabels, Logits]


@dataclass(frozen=True)
class OpenStore:
    """The logits of one teacher beside the images they belong to.

    Attributes:
        reader: the logits.
        source: the images and labels, their fingerprint checked.
        recipe: how views are made.
        reading: what keeps the store from being removed while this lives.
    """

    reader: Reader
    source: Source
    recipe: Recipe
    reading: Reading

    def __post_init__(self) -> None:
        """Warn of logits that were imported."""
        if self.manifest.alignment == "unproven":
            warnings.warn(
                f"{self.reader.path} holds imported logits: nobody can prove that their teacher saw the pictures that "
                f"are rendered here. `kdcache verify {self.reader.path} --checkpoint WEIGHTS` asks a teacher.",
                UnprovenAlignment,
                stacklevel=3,
            )

    @property
    def manifest(self) -> Manifest:
        """Everything that makes the numbers reproducible."""
        return self.reader.manifest

    @property
    def views(self) -> int:
        """Number of stored views per sample."""
        return self.manifest.parts["train"].views

    @property
    def sample_bytes(self) -> int:
        """What the logits of one sample take in one view, as they are stored."""
        return self.reader.codec.bytes_per_row(self.manifest.classes)

    @property
    def normalise(self) -> Normalise:
        """The teacher's normalisation, which a student takes over unless told otherwise."""
        return Normalise.model_validate(self.manifest.teacher.normalise)

    @property
    def rendering(self) -> Rendering:
        """How the training views are rendered, in this process and on the CPU."""
        return Rendering(sources={"train": self.source}, recipe=self.recipe, seed=self.manifest.seed)

    def stream(
        self,
        *,
        check: Check = "sample",
        renderer: Renderer | None = None,
        teachers: tuple[TeacherRows, ...] | None = None,
        pin: bool = False,
    ) -> ViewStream:
        """Batches of this store; see `stream.ViewStream`. Without `teachers` the logits are this store's own.

        Unless `check` is off the witnesses come first. Where they drifted, the digests of single rows cannot hold,
        and no row is compared.

        Raises:
            PixelMismatch: the pictures here are not the ones that the teacher saw.
        """
        exact = check != "off" and self.verdict.kind == "exact"
        proof = PixelProof(
            stored=lambda view: self.reader.digests("train", view),
            seed=self.manifest.seed,
            check=check if exact else "off",
            stored_environment=self.manifest.environment,
            environment=describe_environment(torch.device("cpu")),
        )
        return ViewStream(
            renderer=renderer or Renderer(self.rendering),
            teachers=(self.teacher(OrderConfig().memory),) if teachers is None else teachers,
            proof=proof,
            pin=pin,
        )

    def teacher(self, memory: int) -> CachedRows:
        """What opens the logits of some views for an epoch; of whole ones it keeps up to `memory` bytes."""
        return self._teachers.setdefault(memory, CachedRows(self.reader, memory))

    def logits(self, view: int, samples: Samples) -> Logits:
        """The stored logits float32 [samples, classes] of any samples in one view."""
        return self.teacher(OrderConfig().memory)((view,), None)(samples).logits()

    def order(
        self,
        epoch: int,
        view: int,
        *,
        batch_size: int = 128,
        seed: int = 0,
        window: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> EpochOrder:
        """The samples of an epoch that shows `view`, batch by batch; see `order.EpochOrder`."""
        return EpochOrder(
            samples=len(self.source),
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            chunk_rows=self.manifest.parts["train"].chunk_rows,
            rows=self.manifest.row_order("train"),
            window=window,
            pairs=self.recipe.pairs(self.manifest.seed, len(self.source), view),
            rank=rank,
            world=world,
        )

    def loader(
        self,
        epoch: int,
        *,
        batch_size: int = 128,
        seed: int = 0,
        views: int = 1,
        check: Check = "sample",
        schedule: ViewSchedule = "cycle",
        epochs: int = 1,
        window: int | None = None,
        memory_gb: float = 4.0,
        first_step: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> DataLoader[LoadedBatch]:
        """A torch loader of (images, labels, teacher logits): call it once per epoch; `schedule` picks its views.

        Images are normalised float32 [rows, channels, height, width], one such tensor for each size where the views
        of a batch have several; labels are class indices, or a probability for each class where views are mixed.

        Args:
            epoch: from 0; decides the view and the order.
            batch_size: samples per batch over all ranks; the last batch may be short.
            seed: of the order; the views have the store's own seed.
            views: of each sample in a batch, for methods that take two: the rows are then all samples of the first
                view, then all of the second, and epoch e shows the next `views` of them.
            check: how many rows' pixels are compared with the store's digests.
            schedule: which views an epoch shows: `cycle` shows view e mod V in epoch e; see `view_schedule.views_of`.
            epochs: of the whole training; the schedule `stretches` needs it.
            window: chunks of the store that are shuffled together; 0 shuffles all samples. None: 0 where the logits of
                a batch's views fit into `memory_gb`, else as `order.OrderConfig` says.
            memory_gb: of encoded logits that are held at once, in 10^9 bytes.
            first_step: where to go on in an epoch that was interrupted.
            rank: which part of each batch is wanted.
            world: how many equal parts each batch has; the batches are the same for any number of them.
            workers: processes that render, for pictures that have to be decoded; they live as long as this store.
                A script that asks for them starts its work under `if __name__ == "__main__":`.

        Raises:
            ConfigError: the store has fewer views, the memory is too small for windows, the ranks cannot have equal
                parts, or a window would part partners.
            PixelMismatch: here, or at its batch: the pictures are not the ones that the teacher saw.
        """
        if not 1 <= views <= self.views:
            raise ConfigError(
                f"{self.reader.path} has {self.views} view(s) of each sample; {views} were asked for in a batch. "
                f"Dump with --views {views} or more."
            )
        shown = views_of(schedule, epoch, views, self.views, epochs=epochs, seed=seed)
        shuffle = OrderConfig(window=window, memory_gb=memory_gb)
        chunks = shuffle.window_of(
            samples=len(self.source),
            chunk_rows=self.manifest.parts["train"].chunk_rows,
            sample_bytes=views * self.sample_bytes,
        )
        order = self.order(epoch, shown[0], batch_size=batch_size, seed=seed, window=chunks, rank=rank, world=world)
        renderer = self._renderers.setdefault(workers, Renderer(self.rendering, workers))
        stream = self.stream(check=check, renderer=renderer, teachers=(self.teacher(shuffle.memory),))
        return DataLoader(_Epoch(self, stream, order, first_step, shown), batch_size=None)

    @cached_property
    def verdict(self) -> Verdict:
        """How the pictures here compare with the witnesses, rendered once; where they drifted this warns.

        Raises:
            PixelMismatch: they are not the ones that the teacher saw.
        """
        verdict = judge(self.reader, self.rendering)
        if verdict.kind == "drift":
            warnings.warn(
                f"{self.reader.path}: {verdict} This is harmless, for wrong pictures are further off than {LIMIT} of "
                "255. But the checksums of single rows cannot hold here: nothing is compared from now on.",
                PixelDrift,
                stacklevel=2,
            )
        return verdict

    @cached_property
    def _renderers(self) -> dict[int, Renderer]:
        return {}

    @cached_property
    def _teachers(self) -> dict[int, CachedRows]:
        return {}


class _Epoch(IterableDataset[LoadedBatch]):
    """Yields whole batches."""

    def __init__(
        self, store: OpenStore, stream: ViewStream, order: EpochOrder, first_step: int, views: tuple[int, ...]
    ) -> None:
        super().__init__()
        self._store, self._stream, self._order, self._views = store, stream, order, views
        self._first_step = first_step

    def __len__(self) -> int:
        return len(self._order) - self._first_step

    def __iter__(self) -> Iterator[LoadedBatch]:
        samples = self._order.batches(self._first_step)
        return map(self._loaded, self._stream.batches(samples, self._views, self._order.windows))

    def _loaded(self, batch: Batch) -> LoadedBatch:
        images = [self._store.normalise(pixels) for pixels in batch.pixels]
        return images[0] if len(images) == 1 else images, batch.labels, batch.teachers[0].logits()


def open_store(
    path: str | Path, *, data: str | None = None, root: str | None = None, trust: Sequence[str] = ()
) -> OpenStore:
    """Open the store at `path` and the images it was made from.

    Args:
        path: what `kdcache dump --store` wrote.
        data: where the images are now, if they moved; they must be the same images.
        root: the folder of a torchvision data set, if it moved.
        trust: functions named by the store that may be imported: a source, a transform of somebody's own.

    Raises:
        ConfigError: the store names a function that is not among them.
        StoreError: not a store, unfinished, damaged or being removed.
        SourceError: the images cannot be opened.
        StoreMismatch: the images or labels are not the ones the store was made from.
    """
    reading = Reading(Path(path))
    reader = Reader.open(Path(path))
    recipe = open_stored_recipe(reader.manifest, trust=trust, path=Path(path))
    source = open_stored_source(reader.manifest, "train", data=data, root=root, trust=trust, path=Path(path))
    return OpenStore(reader, source, recipe, reading)
