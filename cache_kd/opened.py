"""A store opened together with the images it was made from: one path gives pictures, labels and logits."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from cache_kd.config import build
from cache_kd.device import describe_environment
from cache_kd.errors import ConfigError, ModelError, PixelDrift, SourceError, StoreMismatch
from cache_kd.models.normalise import Normalise
from cache_kd.models.teacher import Teacher, load_teacher
from cache_kd.proof import Check, PixelProof
from cache_kd.rendering import Rendering
from cache_kd.sources.open import open_source
from cache_kd.sources.source import Source, SourceSpec
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader, StoredView
from cache_kd.stream import RowsOfLogits, TeacherRows, ViewStream, epoch_order, epoch_views
from cache_kd.types import Images, Labels, Logits
from cache_kd.views import Recipe, make_recipe
from cache_kd.witness import LIMIT, Verdict, judge

# views kept in memory between epochs, up to this many bytes; a CIFAR store lies wholly inside
KEPT_BYTES = 128 * 2**20


@dataclass(frozen=True)
class OpenStore:
    """The logits of one teacher beside the images they belong to.

    Attributes:
        reader: the logits.
        source: the images and labels, their fingerprint checked.
        recipe: how views are made.
    """

    reader: Reader
    source: Source
    recipe: Recipe

    @property
    def manifest(self) -> Manifest:
        """Everything that makes the numbers reproducible."""
        return self.reader.manifest

    @property
    def views(self) -> int:
        """Number of stored views per sample."""
        return self.manifest.parts["train"].views

    @property
    def normalise(self) -> Normalise:
        """The teacher's normalisation, which a student takes over unless told otherwise."""
        return Normalise.model_validate(self.manifest.teacher.normalise)

    def stream(
        self, *, check: Check = "sample", teachers: tuple[TeacherRows, ...] | None = None, pin: bool = False
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
            source=self.source,
            recipe=self.recipe,
            seed=self.manifest.seed,
            teachers=(self.rows,) if teachers is None else teachers,
            proof=proof,
            pin=pin,
        )

    def rows(self, view: int) -> RowsOfLogits:
        """What gives the logits of any samples in one view."""
        return self._view(view).rows

    def dataset(
        self, epoch: int, *, batch_size: int = 128, seed: int = 0, views: int = 1, check: Check = "sample"
    ) -> "EpochOfStore":
        """The batches of one epoch as a torch data set of (images, labels, teacher logits); see `loader`."""
        if not 1 <= views <= self.views:
            raise ConfigError(
                f"{self.reader.path} has {self.views} view(s) of each sample; {views} were asked for in a batch. "
                f"Dump with --views {views} or more."
            )
        return EpochOfStore(self, epoch, batch_size, seed, views, check)

    def loader(
        self, epoch: int, *, batch_size: int = 128, seed: int = 0, views: int = 1, check: Check = "sample"
    ) -> DataLoader[tuple[Images, Labels, Logits]]:
        """A torch loader over `dataset`: call it once per epoch; epoch e shows view e mod V.

        Args:
            epoch: from 0; decides the view and the order.
            batch_size: samples per batch; the last batch may be short.
            seed: of the order; the views have the store's own seed.
            views: of each sample in a batch, for methods that take two: the rows are then all samples of the first
                view, then all of the second, and epoch e shows the next `views` of them.
            check: how many rows' pixels are compared with the store's digests.

        Raises:
            ConfigError: the store has fewer views.
        """
        dataset = self.dataset(epoch, batch_size=batch_size, seed=seed, views=views, check=check)
        return DataLoader(dataset, batch_size=None)

    @cached_property
    def verdict(self) -> Verdict:
        """How the pictures here compare with the witnesses, rendered once; where they drifted this warns.

        Raises:
            PixelMismatch: they are not the ones that the teacher saw.
        """
        rendering = Rendering(sources={"train": self.source}, recipe=self.recipe, seed=self.manifest.seed)
        verdict = judge(self.reader, rendering)
        if verdict.kind == "drift":
            warnings.warn(
                f"{self.reader.path}: {verdict} This is harmless, for wrong pictures are further off than {LIMIT} of "
                "255. But the checksums of single rows cannot hold here: nothing is compared from now on.",
                PixelDrift,
                stacklevel=2,
            )
        return verdict

    @cached_property
    def _kept(self) -> dict[int, StoredView]:
        return {}

    def _view(self, number: int) -> StoredView:
        if number in self._kept:
            return self._kept[number]
        stored = self.reader.view("train", number)
        if sum(view.nbytes for view in self._kept.values()) + stored.nbytes <= KEPT_BYTES:
            self._kept[number] = stored
        return stored


class EpochOfStore(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Yields whole batches: images float32 [b, c, h, w] normalised, labels int64 [b], teacher logits float32 [b, k]."""

    def __init__(self, store: OpenStore, epoch: int, batch_size: int, seed: int, views: int, check: Check) -> None:
        super().__init__()
        self._store = store
        self._views = epoch_views(epoch, views, store.views)
        self._order = epoch_order(len(store.source), batch_size, seed=seed, epoch=epoch)
        self._check = check

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for batch in self._store.stream(check=self._check).batches(self._order, self._views):
            yield self._store.normalise(batch.pixels), batch.labels, batch.teachers[0]


def open_store(path: str | Path, *, data: str | None = None, root: str | None = None) -> OpenStore:
    """Open the store at `path` and the images it was made from.

    Args:
        path: what `kdcache dump --store` wrote.
        data: where the images are now, if they moved; they must be the same images.
        root: the folder of a torchvision data set, if it moved.

    Raises:
        StoreError: not a store, unfinished or damaged.
        SourceError: the images cannot be opened.
        StoreMismatch: the images or labels are not the ones the store was made from.
    """
    reader = Reader.open(Path(path))
    source = open_stored_source(reader.manifest, "train", data=data, root=root, path=Path(path))
    return OpenStore(reader, source, make_recipe(reader.manifest.recipe))


def open_stored_source(
    manifest: Manifest, part: str, *, data: str | None = None, root: str | None = None, path: Path
) -> Source:
    """The images of one part of a store, their fingerprint compared with the manifest's.

    Raises:
        StoreMismatch: they are not the images and labels that the store was made from.
    """
    stored, decode = manifest.source.spec, manifest.source.decode
    asked = {
        "data": data or stored["data"],
        "root": root or (None if data else stored.get("root")),
        "split": part,
        "decode": decode and decode.model_dump(),
        "skipped": manifest.source.skipped.get(part, ()),
    }
    spec = build(SourceSpec, asked, origin=str(path))
    try:
        source = open_source(spec)
    except SourceError as fault:
        raise SourceError(
            f"{path} was dumped from {stored['data']}. If the images moved, pass --data. {fault}"
        ) from None
    expected, found = manifest.parts[part].fingerprint, source.fingerprint()
    if found != expected:
        raise StoreMismatch(
            f"{path} was dumped from {manifest.parts[part].samples} {part} images with fingerprint {expected}; "
            f"{spec.data} ({len(source)} images) has {found}. Images or labels were changed, added, removed or "
            "reordered: pass --data with the original ones, or dump again to another --store."
        )
    return source


def open_stored_teacher(manifest: Manifest, *, checkpoint: Path | None, device: torch.device) -> Teacher:
    """The teacher that a manifest names, its weights compared with the stored fingerprint.

    Args:
        manifest: of the store.
        checkpoint: where the weights are now; None where the manifest says.
        device: where it runs.

    Raises:
        ModelError: the weights are missing, do not fit, or are others.
    """
    stored = manifest.teacher
    path = checkpoint or Path(stored.checkpoint)
    teacher = load_teacher(
        stored.name,
        path,
        classes=manifest.classes,
        channels=manifest.source.channels,
        device=device,
        precision=stored.precision,
        normalise=dict(stored.normalise),
    )
    if teacher.fingerprint != stored.fingerprint:
        raise ModelError(
            f"{path} has weights {teacher.fingerprint}; the store was dumped from {stored.fingerprint}. "
            "Pass --checkpoint with the weights of the dump."
        )
    return teacher
