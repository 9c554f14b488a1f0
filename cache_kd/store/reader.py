"""Gives stored logits back, and never a row that was not written or does not match its checksum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache_kd.errors import ConfigError, StoreError
from cache_kd.store.arrays import (
    StoredArray,
    arrays_of_samples,
    digest_array,
    exact_array,
    knob_array,
    logit_arrays,
    metadata_fault,
    metadata_files,
)
from cache_kd.store.checked import CheckedFiles, damaged
from cache_kd.store.codec import Codec, make_codec
from cache_kd.store.damage import find_damage
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, read_manifest
from cache_kd.store.memory import page_aligned
from cache_kd.store.parameters import equipped_codec
from cache_kd.store.record import knob_piece, label_piece, pieces, shard_piece, unfinished, witness_piece
from cache_kd.store.stored_view import StoredView
from cache_kd.store.windowed_view import WindowedView
from cache_kd.store.windows import Windows
from cache_kd.store.witness import decode, witness_views
from cache_kd.types import Digests, KnobRows, LabelArray, LogitArray


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
            raise damaged(path, faults[0])
        if not partial:
            reader._files.require(list(pieces(reader.manifest)))
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
        piece, samples = label_piece(self.manifest, part), self.manifest.parts[part].samples
        arrays = arrays_of_samples(self.manifest, part)
        return [(array, self._files.read_plain(piece, array, array.file(0), samples)) for array in arrays]

    def digests(self, part: str, view: int) -> Digests:
        """The crc32 of the pixels that the teacher saw, uint32 [samples]; kept in memory after the first call.

        Raises:
            StoreIncomplete: the view is not all written yet.
            StoreDamaged: a file is not what was written.
        """
        if (part, view) not in self._digests:
            digests = np.empty(self.manifest.parts[part].samples, dtype=np.uint32)
            samples = self.manifest.row_order(part).sample_of_row
            for shard in self._shards(part, view):
                digests[samples[shard.start : shard.stop]] = self._digests_of(shard)
            digests.setflags(write=False)
            self._digests[part, view] = digests
        return self._digests[part, view]

    def knobs(self, view: int) -> KnobRows:
        """The recorded knobs float32 [samples, knobs] of one train view, where the recipe reads them.

        Raises:
            StoreIncomplete: they are not written yet.
            StoreDamaged: they are not the ones that were written.
        """
        array, piece = knob_array(self.manifest), knob_piece(self.manifest, view)
        assert array is not None
        return self._files.read_plain(piece, array, array.file(view, 0, 0), array.shape[1])

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
        return decode(self._files.read_bytes(witness_piece(self.manifest, view)))

    def other_witnesses(self, manifest: Manifest, witnesses: Callable[[int], NDArray[np.uint8]]) -> int | None:
        """The first view that has other witnesses here than a store that is to meet this one; None where none has.

        Args:
            manifest: of the other store.
            witnesses: gives those of one of its views.
        """
        both = [view for view in self.witnessed_views() if view in witness_views(manifest)]
        return next((view for view in both if not np.array_equal(self.witnesses(view), witnesses(view))), None)

    def view(self, part: str, number: int) -> StoredView:
        """One whole view, read and checked shard by shard.

        Raises:
            StoreIncomplete: the view is not all written yet.
            StoreDamaged: a file is not what was written.
        """
        self._shards(part, number)
        return StoredView.read(self._files, self.codec, part, number)

    def windowed(self, part: str, number: int, windows: Windows) -> WindowedView:
        """One view of which some chunks are in memory at a time, read when the first of their samples is asked for.

        Raises:
            StoreError: there is no such view.
        """
        self._shards(part, number)
        return WindowedView(self._files, part, number, windows)

    def shard(self, shard: Shard) -> tuple[dict[str, NDArray[Any]], Digests]:
        """One shard as it is stored, checked: the codec's arrays [rows, width] by their names, and the digests.

        Raises:
            StoreIncomplete: it is not written yet.
            StoreDamaged: a file is not what was written.
        """
        arrays = logit_arrays(self.manifest, shard.part)
        encoded = {name: page_aligned((shard.rows, array.shape[2]), array.dtype) for name, array in arrays.items()}
        self._files.read_shard(shard, encoded)
        return encoded, self._digests_of(shard)

    @cached_property
    def codec(self) -> Codec:
        """The codec of the rows, with what it found out about the teacher.

        Raises:
            StoreDamaged: that is not what was written.
        """
        return equipped_codec(self.path, self.manifest)

    def exact(self) -> LogitArray:
        """The exact logits float32 [`exact_rows`, classes] of the first rows of train view 0.

        Raises:
            StoreIncomplete: they are not written yet.
            StoreDamaged: they are not the ones that were written.
        """
        first = self.manifest.parts["train"].layout.shards_of("train", 0)[0]
        array, piece = exact_array(self.manifest), shard_piece(self.manifest, first)
        if array is None:
            return np.empty((0, self.manifest.classes), dtype=np.float32)
        return self._files.read_plain(piece, array, array.file(0, 0), array.shape[0])

    def check(self, *, deep: bool = False) -> list[str]:
        """Every missing, torn, flipped or foreign file, one sentence each.

        Args:
            deep: read every byte and compare checksums; else only sizes.
        """
        return find_damage(self.path, self.manifest, deep=deep).sentences

    @cached_property
    def _files(self) -> CheckedFiles:
        return CheckedFiles(self.path, self.manifest)

    def _shards(self, part: str, view: int) -> list[Shard]:
        """Those of one view, which has to exist."""
        entry = self.manifest.parts[part]
        if not 0 <= view < entry.views:
            raise StoreError(f"{self.path} holds {entry.views} view(s) of {part}, from 0; {view} was asked for.")
        return entry.layout.shards_of(part, view)

    def _digests_of(self, shard: Shard) -> Digests:
        array = digest_array(self.manifest, shard.part)
        file = array.file(shard.view, shard.index)
        digests: Digests = self._files.read_plain(shard_piece(self.manifest, shard), array, file, shard.rows)
        return digests


def _metadata_faults(path: Path, manifest: Manifest) -> Iterator[str]:
    for file, expected in metadata_files(manifest).items():
        if fault := metadata_fault(path, file, expected):
            yield f"{path / file} {fault}"
