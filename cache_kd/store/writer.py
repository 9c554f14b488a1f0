"""Writes a store shard by shard, so that it survives being killed at any moment and goes on where it was."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cache_kd.errors import ModelError
from cache_kd.files import sync_folder, write_whole
from cache_kd.store.arrays import (
    StoredArray,
    arrays_of_samples,
    digest_array,
    exact_array,
    holds_exact,
    knob_array,
    label_array,
    logit_arrays,
)
from cache_kd.store.checked import CheckedFiles
from cache_kd.store.codec import Answers, Encoded, LastLayer, UnfitLogit, make_codec
from cache_kd.store.disk import mending
from cache_kd.store.fidelity import measure_fidelity
from cache_kd.store.folder import (
    claimed,
    clear_temporaries,
    create,
    discard,
    fitting,
    grow,
    is_store,
    is_whole,
    make_folders,
    write_metadata,
)
from cache_kd.store.layout import Shard
from cache_kd.store.locks import writing
from cache_kd.store.manifest import ROOT_FILE, Manifest, read_manifest, root_file
from cache_kd.store.object_writer import write_object
from cache_kd.store.parameters import encode_parameters, equipped_codec
from cache_kd.store.record import (
    FOLDER,
    Piece,
    find_fault,
    is_recorded,
    knob_piece,
    label_piece,
    parameter_piece,
    shard_piece,
    unfinished,
    with_dependants,
    witness_piece,
    write_record,
)
from cache_kd.store.witness import FOLDER as WITNESS_FOLDER
from cache_kd.store.witness import encode, witness_views
from cache_kd.types import Digests, KnobRows, LabelArray, LogitArray, Logits

_Write = tuple[StoredArray, str, NDArray[Any]]  # an array, one of its files, and the rows in it


class EncodedShard(NamedTuple):
    """One shard as its files will hold it."""

    shard: Shard
    arrays: Encoded  # of the codec, each [rows, width]
    digests: Digests  # of the pixels that the teacher saw, one per row
    exact: LogitArray | None  # the first rows, of the shard that holds them


class Writer:
    """The one process that may write to a store; a context manager.

    Attributes:
        path: of the store.
        manifest: with all views that the store has or is to have; on the disk new ones are named once they are written.
    """

    def __init__(
        self, path: Path, manifest: Manifest, pending: list[Piece], lock: ExitStack, *, named: Manifest | None = None
    ) -> None:
        """Use `create_or_resume`."""
        self.path = path
        self.manifest = manifest
        self._named = named or manifest  # what stands on the disk
        self._unfinished = {piece.name: piece for piece in pending}
        self._lock = lock
        self._files = CheckedFiles(path, manifest)
        self._labels: dict[str, LabelArray] = {}
        fits = parameter_piece(manifest) in pending
        self._codec = make_codec(manifest.codec) if fits else equipped_codec(path, manifest)

    @classmethod
    def create_or_resume(
        cls, path: Path, manifest: Manifest, *, admit: Callable[[Manifest], None] = lambda stored: None
    ) -> "Writer":
        """Begin the store that `manifest` describes at `path`, go on with it, or find it finished.

        A finished store with at least the views asked for is a hit: nothing is locked, and nothing will be written.
        More views than stored are added in place. Whatever an interrupted dump left unfinished is cleared.

        Args:
            path: of the store.
            manifest: of what is asked for.
            admit: called with the stored manifest before a store that is there is added to; nothing was changed yet,
                and raising leaves it so.

        Raises:
            StoreMismatch: `path` holds a store of something else; both sides of every difference are named.
            StoreDamaged: its manifest is damaged, or rows that the codec's cost is measured on.
            StoreBusy: another process is writing to it.
            StoreError: `path` is something else than a store, or cannot be written to.
        """
        with mending(path), ExitStack() as lock:
            stored = claimed(path, manifest)
            if stored and stored == stored.with_views_of(manifest) and is_whole(path, stored) and _is_labelled(stored):
                return cls(path, stored, [], lock.pop_all())
            lock.enter_context(writing(path))
            # another process may have begun or finished the store before the lock was ours
            if is_store(path):
                named = fitting(path, manifest)
                admit(named)
                whole = grow(path, named, manifest)
            else:
                named = whole = create(path, manifest)
            clear_temporaries(path, whole)
            pending = unfinished(path, whole)
            discard(path, pending)
            writer = cls(path, whole, pending, lock, named=named)
            writer._note_fidelity()
            writer._name_views()
            writer._lock = lock.pop_all()  # before, whatever goes wrong lets go of it
            return writer

    @classmethod
    def reopen(cls, path: Path, suspects: Iterable[Piece]) -> "Writer":
        """Open the store at `path` to write some of its pieces again, and mend the metadata of its arrays.

        Args:
            path: of the store.
            suspects: what may be missing or damaged; of these, whatever bears out its record is left as it is.

        Raises:
            StoreDamaged: its manifest is damaged.
            StoreBusy: another process is writing to it.
            StoreError: there is no store, or it cannot be written to.
        """
        with mending(path), ExitStack() as lock:
            manifest = read_manifest(path)
            lock.enter_context(writing(path))
            (path / FOLDER).mkdir(exist_ok=True)
            write_metadata(path, manifest)
            clear_temporaries(path, manifest)
            faulty = [
                piece
                for piece in suspects
                if not is_recorded(path, piece) or find_fault(path, manifest.store_id, piece, deep=True)
            ]
            faulty = with_dependants(manifest, faulty)
            discard(path, faulty)
            return cls(path, manifest, faulty, lock.pop_all())

    def __enter__(self) -> "Writer":
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the lock; unfinished shards stay unfinished."""
        self.close()

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.close()

    @property
    def complete(self) -> bool:
        """Whether every shard, all labels and all witnesses are written."""
        return not self._unfinished

    def pending(self) -> list[Shard]:
        """The shards that are still to be written, in order.

        The first one comes first where the codec has no parameters yet: they are fitted to it.
        """
        return [piece.shard for piece in self._unfinished.values() if piece.shard is not None]

    def write(self, shard: Shard, logits: Logits, digests: Digests, last_layer: LastLayer | None = None) -> None:
        """Write one whole shard; when this returns it is on the disk and recorded.

        Args:
            shard: one of `pending()`; the labels of its part are written already.
            logits: float32 [rows, classes], on any device.
            digests: of the pixels that the teacher saw, one per row.
            last_layer: of the teacher, for a codec that reads it.

        Raises:
            ModelError: a logit that the codec cannot keep; names its sample and class.
            StoreDamaged: the labels are not what was written.
            StoreError: the disk is full or cannot be written to; the shard stays pending.
        """
        self.write_encoded(self.encode(shard, logits, digests, last_layer))

    def encode(
        self, shard: Shard, logits: Logits, digests: Digests, last_layer: LastLayer | None = None
    ) -> EncodedShard:
        """The first half of `write`, which computes, where the logits are; `write_encoded` waits for the disk."""
        assert logits.shape == (shard.rows, self.manifest.classes)
        samples = self.manifest.samples_of(shard)
        labels = torch.from_numpy(self._labels_of(shard.part)[samples]).to(logits.device)
        answers = Answers(logits, labels, last_layer)
        piece = parameter_piece(self.manifest)
        if piece and piece.name in self._unfinished:
            assert holds_exact(shard), "the codec is fitted to the first shard"
            self.write_parameters(encode_parameters(self._codec.fit(answers)))
        try:
            encoded = self._codec.encode(answers)
        except UnfitLogit as fault:
            sample = self.manifest.samples_of(shard)[fault.row]
            raise ModelError(
                f"{shard.part} view {shard.view}, sample {sample}, class {fault.column}: {fault.why} "
                "Finished shards are kept."
            ) from None
        exact = logits[: self.manifest.exact_rows].cpu().numpy() if holds_exact(shard) else None
        return EncodedShard(shard, encoded, digests, exact)

    def write_encoded(self, content: EncodedShard) -> None:
        """Write one whole shard of logits that this store's codec has encoded already, as `write` does.

        Raises:
            StoreError: the disk is full or cannot be written to; the shard stays pending.
        """
        shard = content.shard
        assert content.digests.shape == (shard.rows,)
        arrays = logit_arrays(self.manifest, shard.part)
        writes: list[_Write] = [
            (array, array.file(shard.view, shard.index, 0), content.arrays[name]) for name, array in arrays.items()
        ]
        digests = digest_array(self.manifest, shard.part)
        writes.append((digests, digests.file(shard.view, shard.index), content.digests))
        exact = exact_array(self.manifest)
        if exact and holds_exact(shard):
            assert content.exact is not None
            writes.append((exact, exact.file(0, 0), content.exact))
        self._write(shard_piece(self.manifest, shard), writes)
        self._note_fidelity()

    def write_parameters(self, content: bytes) -> None:
        """Write the parameters of a fitted codec; every row from now on is encoded with them.

        Args:
            content: of their file, as `encode_parameters` makes it; where they are recorded already, the same bytes.

        Raises:
            StoreError: the disk is full or cannot be written to.
        """
        piece = parameter_piece(self.manifest)
        assert piece is not None
        if piece.name in self._unfinished:
            with self._vouching_for(piece):
                (self.path / piece.files[0]).write_bytes(content)
        self._codec = equipped_codec(self.path, self.manifest)

    def write_labels(self, part: str, labels: LabelArray) -> None:
        """Write the labels of `part`, int64 [samples]; once they are recorded this does nothing.

        The part's fingerprint already says that they are the same labels.

        Raises:
            StoreError: the disk is full or cannot be written to.
        """
        piece = label_piece(self.manifest, part)
        assert labels.shape == (piece.rows,)
        if piece.name in self._unfinished:
            rows = {"labels": labels, "samples": self.manifest.row_order(part).sample_of_row}
            arrays = arrays_of_samples(self.manifest, part)
            self._write(piece, [(array, array.file(0), rows[array.path.rpartition("/")[2]]) for array in arrays])

    def write_knobs(self, view: int, rows: KnobRows) -> None:
        """Write the recorded knobs of one train view, before anything is rendered; once recorded this does nothing.

        Args:
            view: its number.
            rows: float32 [samples, knobs], in the order of the samples.

        Raises:
            StoreError: the disk is full or cannot be written to.
        """
        piece, array = knob_piece(self.manifest, view), knob_array(self.manifest)
        assert array is not None
        assert rows.shape == array.shape[1:]
        if piece.name in self._unfinished:
            self._write(piece, [(array, array.file(view, 0, 0), rows)])

    def pending_witnesses(self) -> list[int]:
        """The views whose witnesses are still to be written, in order."""
        views = witness_views(self.manifest)
        return [view for view in views if witness_piece(self.manifest, view).name in self._unfinished]

    def write_witnesses(self, view: int, rows: NDArray[np.uint8]) -> None:
        """Write the witnesses of one view; once they are recorded this does nothing.

        Args:
            view: number of a view of the train part that has witnesses.
            rows: `witness_rows` of them, each of any one shape.

        Raises:
            StoreError: the disk is full or cannot be written to.
        """
        piece = witness_piece(self.manifest, view)
        assert len(rows) == piece.rows
        if piece.name in self._unfinished:
            with self._vouching_for(piece):
                make_folders(self.path, Path(WITNESS_FOLDER))
                (self.path / piece.files[0]).write_bytes(encode(rows))

    def _note_fidelity(self) -> None:
        """Write into the manifest what the codec costs, once there are exact rows to measure it on."""
        exact = exact_array(self.manifest)
        if exact is None or self.manifest.fidelity:
            return
        shard = self.manifest.parts["train"].layout.shards_of("train", 0)[0]
        first = shard_piece(self.manifest, shard)
        if first.name in self._unfinished:
            return
        logits = self._files.read_plain(first, exact, exact.file(0, 0), self.manifest.exact_rows)
        encoded = {
            name: np.empty((shard.rows, array.shape[2]), dtype=array.dtype)
            for name, array in logit_arrays(self.manifest, "train").items()
        }
        self._files.read_shard(shard, encoded)
        stored = self._codec.decode({name: rows[: len(logits)] for name, rows in encoded.items()}, logits.shape[1])
        fidelity = measure_fidelity(torch.from_numpy(logits), torch.from_numpy(stored))
        self.manifest = self.manifest.model_copy(update={"fidelity": fidelity})
        self._name(self._named.model_copy(update={"fidelity": fidelity}))

    def _name_views(self) -> None:
        """Name all views in the manifest where the last of them is written."""
        if not self._unfinished and self._named != self.manifest:
            self._name(self.manifest)

    def _name(self, manifest: Manifest) -> None:
        with mending(self.path):
            write_whole(self.path / ROOT_FILE, root_file(manifest))
        self._named = manifest

    def _labels_of(self, part: str) -> LabelArray:
        """What `write_labels` wrote, now or in an earlier process; StoreDamaged where that is no longer there."""
        if part not in self._labels:
            piece, array = label_piece(self.manifest, part), label_array(self.manifest, part)
            assert piece.name not in self._unfinished, "labels are written before rows"
            self._labels[part] = self._files.read_plain(piece, array, array.file(0), piece.rows)
        return self._labels[part]

    def _write(self, piece: Piece, writes: list[_Write]) -> None:
        """Write the arrays of one piece."""
        with self._vouching_for(piece):
            for array, file, rows in writes:
                (self.path / file).parent.mkdir(parents=True, exist_ok=True)
                write_object(self.path / file, array, rows)

    @contextmanager
    def _vouching_for(self, piece: Piece) -> Iterator[None]:
        """Clear the place of a piece; once its files are written, bring them to the disk, then vouch for them."""
        with mending(self.path, needed=self._pending_bytes()):
            discard(self.path, [piece])
            yield
            for file in piece.files:
                _sync_file(self.path, file)
            write_record(self.path, self.manifest.store_id, piece)
        self._unfinished.pop(piece.name, None)
        self._name_views()

    def _pending_bytes(self) -> int:
        """What the pending shards will weigh, without checksums."""
        digest = np.dtype(np.uint32).itemsize
        row = self._codec.bytes_per_row(self.manifest.classes) + digest
        return sum(self.manifest.parts[shard.part].shard_rows * row for shard in self.pending())


def _is_labelled(manifest: Manifest) -> bool:
    return manifest.fidelity is not None or not manifest.exact_rows


def _sync_file(path: Path, file: str) -> None:
    """Bring a file and every folder between it and the store to the disk."""
    with (path / file).open("rb") as handle:
        os.fsync(handle.fileno())
    for folder in Path(file).parents:
        sync_folder(path / folder)
