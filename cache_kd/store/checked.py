"""The files of a store: no byte of one is given back before it was compared with its completion record."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache_kd.errors import StoreDamaged, StoreIncomplete
from cache_kd.store.arrays import StoredArray, logit_arrays
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest
from cache_kd.store.object_form import form_of
from cache_kd.store.object_reader import Seen, Unsound, read_chunks
from cache_kd.store.record import Piece, find_fault, is_recorded, read_record, shard_piece


@dataclass(frozen=True)
class CheckedFiles:
    """Reads what was written, and remembers which files were found to be that.

    It holds no open file: threads may share it, and processes may inherit or copy it.
    """

    path: Path
    manifest: Manifest
    _seen: dict[str, Seen] = field(default_factory=dict, repr=False, compare=False)

    def require(self, wanted: Sequence[Piece]) -> None:
        """Refuse to go on unless everything `wanted` is written and has its size.

        Raises:
            StoreIncomplete: something has no record.
            StoreDamaged: a record is not its own, or a file has not the size that it says.
        """
        missing = [piece for piece in wanted if not is_recorded(self.path, piece)]
        if missing:
            raise StoreIncomplete(self._incomplete(missing, wanted))
        for piece in wanted:
            if fault := find_fault(self.path, self.manifest.store_id, piece):
                raise damaged(self.path, f"{piece.title}: {fault}")

    def read_chunks(self, shard: Shard, chunks: Mapping[int, Mapping[str, NDArray[Any]]]) -> None:
        """Fill arrays with encoded rows of some chunks of one shard.

        Args:
            shard: of the store.
            chunks: number within the shard -> the codec's name of an array -> what takes the first rows of that
                chunk, contiguous [rows, width].

        Raises:
            StoreIncomplete: the shard is not written yet.
            StoreDamaged: a file is not what was written.
        """
        for name, array in self._arrays[shard.part].items():
            targets = {chunk: into[name] for chunk, into in chunks.items()}
            file = array.file(shard.view, shard.index, 0)
            self._fill(targets, lambda: shard_piece(self.manifest, shard), array, file, rows=shard.rows)

    def read_shard(self, shard: Shard, into: Mapping[str, NDArray[Any]]) -> None:
        """Fill contiguous arrays [rows, width] with all encoded rows of one shard; raises as `read_chunks` does."""
        length = self.manifest.parts[shard.part].chunk_rows
        cuts = {start // length: slice(start, start + length) for start in range(0, shard.rows, length)}
        self.read_chunks(
            shard, {chunk: {name: rows[cut] for name, rows in into.items()} for chunk, cut in cuts.items()}
        )

    def read_plain(self, piece: Piece, array: StoredArray, file: str, rows: int) -> NDArray[Any]:
        """The first `rows` in a file that holds one plain chunk; raises as `read_chunks` does."""
        of_row = array.object_shape[2:] if array.dimensions[0] == "view" else array.object_shape[1:]
        content = np.empty((rows, *of_row), dtype=array.dtype)
        self._fill({0: content}, lambda: piece, array, file, rows=rows)
        return content

    def read_bytes(self, piece: Piece) -> bytes:
        """The content of the only file of `piece`; raises as `read_chunks` does."""
        sha256 = self._sha256(piece, piece.files[0])
        content = (self.path / piece.files[0]).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise damaged(
                self.path, f"{piece.title}: {self.path / piece.files[0]} has other bytes than were written (sha256)"
            )
        return content

    @cached_property
    def _arrays(self) -> dict[str, dict[str, StoredArray]]:
        """The codec's arrays of each part: asking a manifest for them takes as long as reading a shard."""
        return {part: logit_arrays(self.manifest, part) for part in self.manifest.parts}

    def _fill(
        self,
        targets: Mapping[int, NDArray[Any]],
        piece: Callable[[], Piece],
        array: StoredArray,
        file: str,
        *,
        rows: int,
    ) -> None:
        row_bytes = next(iter(targets.values())).strides[0]
        try:
            self._seen[file] = read_chunks(
                self.path / file,
                form_of(array),
                targets,
                filled=rows * row_bytes,
                sha256=lambda: self._sha256(piece(), file),
                seen=self._seen.get(file),
            )
        except Unsound as fault:
            raise damaged(self.path, f"{piece().title}: {self.path / file} {fault}") from None
        except OSError as fault:
            self.require([piece()])
            raise damaged(self.path, f"{piece().title}: {self.path / file} cannot be read ({fault.strerror})") from None

    def _sha256(self, piece: Piece, file: str) -> str:
        self.require([piece])
        record = read_record(self.path, piece)
        if record is None:
            raise damaged(self.path, f"{piece.title}: {self.path / piece.record} is not a completion record")
        return next(entry.sha256 for entry in record.objects if entry.path == file)

    def _incomplete(self, missing: Sequence[Piece], wanted: Sequence[Piece]) -> str:
        shards = [piece for piece in missing if piece.shard]
        others = [piece.title for piece in missing if not piece.shard]
        # of up to 16 views with witnesses and two parts with labels, a few say enough
        others = others if len(others) < 4 else [f"{len(others)} files of labels and witnesses"]
        lacks = [f"{len(shards)} of {sum(1 for piece in wanted if piece.shard)} shards"] if shards else []
        return (
            f"{self.path} lacks {' and '.join(lacks + others)}: its dump has not finished. Run the dump again, "
            f"finished shards are kept: {self.manifest.dump_command(self.path)}"
        )


def damaged(path: Path, what: str) -> StoreDamaged:
    """The error of a store at `path` in which something is wrong, with its mend."""
    return StoreDamaged(
        f"{what}. `kdcache verify {path} --deep` names every such file, `kdcache repair {path}` redoes them."
    )
