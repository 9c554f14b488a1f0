"""Completion records: a shard, a part's labels or a view's witnesses count as written once a record says so."""

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from cache_kd.config import Config
from cache_kd.errors import StoreError
from cache_kd.files import write_whole
from cache_kd.store.arrays import arrays_of_samples, knob_array, shard_files
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest
from cache_kd.store.witness import witness_file, witness_rows, witness_views

FOLDER = "done"
PARAMETERS_FILE = "codec.safetensors"  # of a codec that is fitted to the teacher


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one record vouches for: a shard, all labels of a part, the witnesses or the recorded knobs of a view.

    Attributes:
        name: of the record.
        title: for people.
        files: below the store, in the order of writing.
        rows: how many samples.
        shard: None for all but shards.
    """

    name: str
    title: str
    files: tuple[str, ...]
    rows: int
    shard: Shard | None

    @property
    def record(self) -> str:
        """The record's file, below the store."""
        return f"{FOLDER}/{self.name}.json"


class StoredObject(Config):
    """One file as it was when it was written."""

    path: str  # below the store
    size: Annotated[int, Field(ge=0)]  # bytes
    # Not a crc32c: every chunk ends in its own, and a crc32c over chunk and crc32c is a constant whatever the
    # chunk holds, so that two shards of one size could change places unseen. 1.7 GiB/s on one core.
    sha256: str


class Record(Config):
    """That the rows of one piece are on the disk, in these files, for this store."""

    store_id: str
    rows: int
    objects: tuple[StoredObject, ...]


def label_piece(manifest: Manifest, part: str) -> Piece:
    """The labels of one part, and which sample stands in which row."""
    return Piece(
        name=f"{part}.labels",
        title=f"{part} labels",
        files=tuple(array.file(0) for array in arrays_of_samples(manifest, part)),
        rows=manifest.parts[part].samples,
        shard=None,
    )


def witness_piece(manifest: Manifest, view: int) -> Piece:
    """The witnesses of one view of the train part."""
    return Piece(
        name=f"witness.{view}",
        title=f"witnesses of view {view}",
        files=(witness_file(view),),
        rows=witness_rows(manifest, view),
        shard=None,
    )


def knob_piece(manifest: Manifest, view: int) -> Piece:
    """The recorded knobs of one train view, of a store whose recipe reads some."""
    array = knob_array(manifest)
    assert array is not None
    return Piece(
        name=f"knobs.{view}",
        title=f"knobs of view {view}",
        files=(array.file(view, 0, 0),),
        rows=manifest.parts["train"].samples,
        shard=None,
    )


def knob_pieces(manifest: Manifest) -> list[Piece]:
    """The recorded knobs of each train view, in order; none where the recipe reads none."""
    views = manifest.parts["train"].views if manifest.knobs else 0
    return [knob_piece(manifest, view) for view in range(views)]


def parameter_piece(manifest: Manifest) -> Piece | None:
    """The parameters of the codec, without which no row can be read; None for one that has none."""
    if not make_codec(manifest.codec).fitted:
        return None
    return Piece(name="codec", title="parameters of the codec", files=(PARAMETERS_FILE,), rows=0, shard=None)


def shard_piece(manifest: Manifest, shard: Shard) -> Piece:
    """One shard: its logits and digests."""
    return Piece(
        name=f"{shard.part}.{shard.view}.{shard.index}",
        title=str(shard),
        files=tuple(shard_files(manifest, shard)),
        rows=shard.rows,
        shard=shard,
    )


def pieces(manifest: Manifest) -> Iterator[Piece]:
    """Everything that a finished store holds; parameters, knobs and witnesses are written before the shards."""
    if parameters := parameter_piece(manifest):
        yield parameters
    yield from knob_pieces(manifest)
    for view in witness_views(manifest):
        yield witness_piece(manifest, view)
    for name, part in manifest.parts.items():
        yield label_piece(manifest, name)
        for shard in part.layout.shards(name):
            yield shard_piece(manifest, shard)


def write_record(store: Path, store_id: str, piece: Piece) -> None:
    """Vouch for the files of `piece`, which must be on the disk already."""
    objects = []
    for file in piece.files:
        content = (store / file).read_bytes()
        objects.append(StoredObject(path=file, size=len(content), sha256=hashlib.sha256(content).hexdigest()))
    record = Record(store_id=store_id, rows=piece.rows, objects=tuple(objects))
    write_whole(store / piece.record, record.model_dump_json().encode())


def is_recorded(store: Path, piece: Piece) -> bool:
    """Whether `piece` has a record, good or bad; raises as `is_there` does."""
    return is_there(store / piece.record)


def is_there(file: Path) -> bool:
    """Whether a file of a store is there; a link that leads in a circle is none.

    Raises:
        StoreError: nobody can tell, as where its folder may not be searched; whoever took that for no would
            write or delete what is there.
    """
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as fault:
        if fault.errno == errno.ELOOP:
            return False
        raise StoreError(
            f"{file} cannot be looked at ({fault.strerror}). Ask its owner to let you read the whole store."
        ) from None
    return True


def read_record(store: Path, piece: Piece) -> Record | None:
    """What the record of `piece` says; None where there is none that can be read."""
    try:
        return Record.model_validate_json((store / piece.record).read_bytes())
    except (OSError, ValidationError):
        return None


def unfinished(store: Path, manifest: Manifest) -> list[Piece]:
    """What has no record, or one that the sizes of its files do not bear out; in the order of writing."""
    lacking = [
        piece
        for piece in pieces(manifest)
        if not is_recorded(store, piece) or find_fault(store, manifest.store_id, piece)
    ]
    return with_dependants(manifest, lacking)


def with_dependants(manifest: Manifest, lacking: list[Piece]) -> list[Piece]:
    """`lacking`, and every shard where the codec's parameters are lacking: new ones would give it other numbers."""
    if parameter_piece(manifest) not in lacking:
        return lacking
    return [piece for piece in pieces(manifest) if piece in lacking or piece.shard]


def find_fault(store: Path, store_id: str, piece: Piece, *, deep: bool = False) -> str | None:
    """Which file of a recorded `piece` is not what was written, and why; None where all is well.

    Args:
        store: its folder.
        store_id: of its manifest.
        piece: one that has a record.
        deep: read every byte and compare checksums; else only sizes.
    """
    try:
        record = Record.model_validate_json((store / piece.record).read_bytes())
    except OSError as fault:
        return f"{store / piece.record} cannot be read ({fault.strerror})"
    except ValidationError:
        return f"{store / piece.record} is not a completion record"
    if record.store_id != store_id:
        return f"{store / piece.record} belongs to another store ({record.store_id}, not {store_id})"
    if tuple(entry.path for entry in record.objects) != piece.files or record.rows != piece.rows:
        return f"{store / piece.record} is not the record of {piece.title}"
    faults = (_object_fault(store, entry, deep=deep) for entry in record.objects)
    return next((fault for fault in faults if fault), None)


def _object_fault(store: Path, entry: StoredObject, *, deep: bool) -> str | None:
    file = store / entry.path
    try:
        size = file.stat().st_size
        if size != entry.size:
            return f"{file} has {size} bytes, {entry.size} were written"
        if deep and hashlib.sha256(file.read_bytes()).hexdigest() != entry.sha256:
            return f"{file} has other bytes than were written (sha256)"
    except FileNotFoundError:
        return f"{file} is missing"
    except OSError as fault:
        return f"{file} cannot be read ({fault.strerror})"
    return None
