"""Gives stored logits back, and never a row that was not written or does not match its checksum."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache_kd.errors import ConfigError, StoreDamaged, StoreError, StoreIncomplete
from cache_kd.store.arrays import (
    StoredArray,
    arrays_of_samples,
    digest_array,
    logit_arrays,
    metadata_fault,
    metadata_files,
)
from cache_kd.store.codec import Codec, make_codec
from cache_kd.store.damage import find_damage
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, read_manifest
from cache_kd.store.record import (
    Piece,
    find_fault,
    is_recorded,
    label_piece,
    pieces,
    shard_piece,
    unfinished,
    witness_piece,
)
from cache_kd.store.row_order import RowOrder
from cache_kd.store.witness import decode, witness_views
from cache_kd.types import Digests, LabelArray, LogitArray, Samples


@dataclass(frozen=True)
class StoredView:
    """One whole view in memory, as narrow as it was stored."""

    codec: Codec
    arrays: dict[str, NDArray[Any]]  # name -> [rows, width]
    classes: int
    order: RowOrder

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(array.nbytes for array in self.arrays.values())

    def rows(self, samples: Samples) -> LogitArray:
        """The logits float32 [batch, classes] of any `samples`, in their order."""
        rows = self.order.row_of_sample[samples]
        picked = {name: np.take(array, rows, axis=0) for name, array in self.arrays.items()}
        return self.codec.decode(picked, self.classes)


@dataclass(frozen=True)
class Reader:
    """A store that is there to be read.

    It holds a path and a manifest, no open file: threads may share it, and processes may inherit or copy it.
    """

    path: Path
    manifest: Manifest
    _digests: dict[tuple[str, int], Digests] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def examine(cls, path: Path) -> "Reader":
        """Open whatever stands below a good manifest at `path`, to check or mend it.

        Raises:
            StoreError: there is no store, or a newer release wrote it.
            StoreDamaged: its manifest is not the one that was written.
        """
        manifest = read_manifest(path)
        try:
            make_codec(manifest.codec)
        except ConfigError as fault:
            raise StoreError(f"{path} was written with another release: {fault} Upgrade cache_kd.") from None
        return cls(path, manifest)

    @classmethod
    def open(cls, path: Path, *, partial: bool = False) -> "Reader":
        """Open the store at `path` and look at every file's size.

        Args:
            path: what `kdcache dump --store` wrote.
            partial: also open an unfinished store, or one whose shards are missing or torn, to look at the rest.

        Raises:
            StoreError: there is no store, or a newer release wrote it.
            StoreIncomplete: its dump has not finished.
            StoreDamaged: the metadata of an array, or the size of a file, is not what was written.
        """
        reader = cls.examine(path)
        if faults := list(_metadata_faults(path, reader.manifest)):
            raise _damaged(path, faults[0])
        if not partial:
            reader._require(list(pieces(reader.manifest)))
        return reader

    @property
    def complete(self) -> float:
        """The share of shards, label and witness files that are written and have their size, 0 to 1."""
        return 1 - len(unfinished(self.path, self.manifest)) / len(list(pieces(self.manifest)))

    def labels(self, part: str) -> LabelArray:
        """The labels int64 [samples] of `part`.

        Raises:
            StoreIncomplete: they are not written yet.
            StoreDamaged: they are not the ones that were written.
        """
        return self.of_samples(part)[0][1]

    def of_samples(self, part: str) -> list[tuple[StoredArray, NDArray[Any]]]:
        """The arrays that are the same for all views of `part`, first of them its labels.

        Raises:
            StoreIncomplete: they are not written yet.
            StoreDamaged: they are not the ones that were written.
        """
        piece = label_piece(self.manifest, part)
        self._require([piece], deep=True)
        return [(array, self._read(piece, array, ...)) for array in arrays_of_samples(self.manifest, part)]

    def digests(self, part: str, view: int) -> Digests:
        """The crc32 of the pixels that the teacher saw, uint32 [samples]; kept in memory after the first call.

        Raises:
            StoreIncomplete: the view is not all written yet.
            StoreDamaged: a file is not what was written.
        """
        if (part, view) not in self._digests:
            array = digest_array(self.manifest, part)
            digests = np.empty(array.shape[1], dtype=array.dtype)
            samples = self.manifest.row_order(part).sample_of_row
            for piece, rows in self._checked_shards(part, view):
                digests[samples[rows]] = self._read(piece, array, (view, rows))
            digests.setflags(write=False)
            self._digests[part, view] = digests
        return self._digests[part, view]

    def witnessed_views(self) -> list[int]:
        """The views of the train part whose witnesses are written and have their size."""
        missing = {piece.name for piece in unfinished(self.path, self.manifest)}
        views = witness_views(self.manifest)
        return [view for view in views if witness_piece(self.manifest, view).name not in missing]

    def witnesses(self, view: int) -> NDArray[np.uint8]:
        """The witnesses of one view of the train part, [rows, …]: as they were given to the writer.

        Raises:
            StoreIncomplete: they are not written yet.
            StoreDamaged: they are not the ones that were written.
        """
        piece = witness_piece(self.manifest, view)
        self._require([piece], deep=True)
        return decode((self.path / piece.files[0]).read_bytes())

    def view(self, part: str, number: int) -> StoredView:
        """One whole view, read and checked shard by shard.

        Raises:
            StoreIncomplete: the view is not all written yet.
            StoreDamaged: a file is not what was written.
        """
        arrays = logit_arrays(self.manifest, part)
        encoded = {name: np.empty(array.shape[1:], dtype=array.dtype) for name, array in arrays.items()}
        for piece, rows in self._checked_shards(part, number):
            for name, array in arrays.items():
                encoded[name][rows] = self._read(piece, array, (number, rows))
        order = self.manifest.row_order(part)
        return StoredView(make_codec(self.manifest.codec), encoded, self.manifest.classes, order)

    def shard(self, shard: Shard) -> tuple[dict[str, NDArray[Any]], Digests]:
        """One shard as it is stored, checked: the codec's arrays [rows, width] by their names, and the digests.

        Raises:
            StoreIncomplete: it is not written yet.
            StoreDamaged: a file is not what was written.
        """
        piece, place = shard_piece(self.manifest, shard), (shard.view, slice(shard.start, shard.stop))
        self._require([piece], deep=True)
        arrays = logit_arrays(self.manifest, shard.part)
        encoded = {name: self._read(piece, array, place) for name, array in arrays.items()}
        return encoded, self._read(piece, digest_array(self.manifest, shard.part), place)

    def check(self, *, deep: bool = False) -> list[str]:
        """Every missing, torn, flipped or foreign file, one sentence each.

        Args:
            deep: read every byte and compare checksums; else only sizes.
        """
        return find_damage(self.path, self.manifest, deep=deep).sentences

    def _checked_shards(self, part: str, view: int) -> Iterator[tuple[Piece, slice]]:
        """Each shard of one view, after all its bytes were compared with its record."""
        entry = self.manifest.parts[part]
        if not 0 <= view < entry.views:
            raise StoreError(f"{self.path} holds {entry.views} view(s) of {part}, from 0; {view} was asked for.")
        for shard in entry.layout.shards_of(part, view):
            piece = shard_piece(self.manifest, shard)
            self._require([piece], deep=True)
            yield piece, slice(shard.start, shard.stop)

    def _read(self, piece: Piece, array: StoredArray, place: Any) -> NDArray[Any]:
        """Rows of one array through zarr, which compares the checksum of every chunk."""
        try:
            rows = np.asarray(array.open(self.path)[place])
        except (ValueError, OSError) as fault:
            raise _damaged(self.path, f"{piece.title}: {self.path / array.path}: {fault}") from None
        if rows.dtype.kind == "f" and np.isnan(rows).any():
            raise _damaged(self.path, f"{piece.title}: {self.path / array.path} holds rows that were never written")
        return rows

    def _require(self, wanted: list[Piece], *, deep: bool = False) -> None:
        """Refuse to go on unless everything `wanted` is written and undamaged."""
        missing = [piece for piece in wanted if not is_recorded(self.path, piece)]
        if missing:
            raise StoreIncomplete(self._incomplete(missing, wanted))
        for piece in wanted:
            if fault := find_fault(self.path, self.manifest.store_id, piece, deep=deep):
                raise _damaged(self.path, f"{piece.title}: {fault}")

    def _incomplete(self, missing: list[Piece], wanted: list[Piece]) -> str:
        shards = [piece for piece in missing if piece.shard]
        others = [piece.title for piece in missing if not piece.shard]
        # of up to 16 views with witnesses and two parts with labels, a few say enough
        others = others if len(others) < 4 else [f"{len(others)} files of labels and witnesses"]
        lacks = [f"{len(shards)} of {sum(1 for piece in wanted if piece.shard)} shards"] if shards else []
        return (
            f"{self.path} lacks {' and '.join(lacks + others)}: its dump has not finished. Run the dump again, "
            f"finished shards are kept: {self.manifest.dump_command(self.path)}"
        )


def _metadata_faults(path: Path, manifest: Manifest) -> Iterator[str]:
    for file, expected in metadata_files(manifest).items():
        if fault := metadata_fault(path, file, expected):
            yield f"{path / file} {fault}"


def _damaged(path: Path, what: str) -> StoreDamaged:
    return StoreDamaged(
        f"{what}. `kdcache verify {path} --deep` names every such file, `kdcache repair {path}` redoes them."
    )
