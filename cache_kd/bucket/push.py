"""Copies a finished store into a bucket so that nobody there ever sees a part of one: its manifest comes last."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.mark import Mark, content_of, find_mark, mark_of_upload
from cache_kd.bucket.parallel import in_parallel
from cache_kd.bucket.remote import RemoteStore, find_remote
from cache_kd.bucket.transfer import Transfer, amount
from cache_kd.errors import StoreBusy, StoreDamaged, StoreError, StoreMismatch
from cache_kd.progress import Progress, Silent
from cache_kd.store.arrays import metadata_files
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import CREATING, ROOT_FILE, Manifest, differences, parse_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.record import Piece, Record, StoredObject, pieces


def push(path: Path, url: str, progress: Progress | None = None) -> Transfer:
    """Copy the finished store at `path` to `url`, or add its views to the same store there.

    Interrupt it and repeat it as you like: pieces whose record is there are not sent again. Until the manifest, the
    last object, is written, readers see no store, or the one with fewer views that was there before.

    A mark, written under the condition that there is none, says who uploads which bytes. Whoever has the same bytes
    joins in, for objects are then overwritten by their equals; whoever has others waits for another day.

    Raises:
        StoreMismatch: `url` holds another store, or the same one with other bytes or otherwise cut.
        StoreBusy: somebody uploads other bytes of the same store, or the one at `path` is being removed.
        StoreIncomplete: the store at `path` is not finished.
        StoreDamaged: a file of it is not what was written; no record of it was sent.
        StoreError: the bucket cannot be written to or has objects of others at `url`, or a file went from `path`.
    """
    with Reading(path):
        Reader.open(path)
        root = _read(path, ROOT_FILE)
        manifest = parse_manifest(root, path)
        bucket = Bucket.open(url, create=True)
        sent: list[int] = []
        there = find_remote(bucket)
        if not _is_there(there, manifest, path):
            if there is None:
                _refuse_foreign(bucket)
            snapshot = _snapshot(path, manifest, root)
            _claim(bucket, mark_of_upload(path, manifest, snapshot.records.values()))
            # asked again, for whoever had the mark before may have finished
            there = find_remote(bucket)
            if not _is_there(there, manifest, path):
                sent = _send_all(bucket, there, snapshot, progress or Silent())
            bucket.delete([CREATING])
    return Transfer(
        store=str(path),
        url=url,
        store_id=manifest.store_id,
        views=manifest.parts["train"].views,
        files=len(sent),
        bytes=sum(sent),
    )


@dataclass(frozen=True, kw_only=True)
class _Snapshot:
    """What is sent of a store but its rows, read before the first of them: views that are added later are not in it.

    Attributes:
        path: of the store.
        root: the file that holds its manifest.
        metadata: of its arrays and groups, by name.
        records: of all pieces that the manifest names.
    """

    path: Path
    root: bytes
    metadata: Mapping[str, bytes]
    records: Mapping[Piece, bytes]


def _snapshot(path: Path, manifest: Manifest, root: bytes) -> _Snapshot:
    return _Snapshot(
        path=path,
        root=root,
        metadata={name: _read(path, name) for name in metadata_files(manifest)},
        records={piece: _read(path, piece.record) for piece in pieces(manifest)},
    )


def _read(path: Path, name: str) -> bytes:
    """The file `name` of the store at `path`.

    Raises:
        StoreError: it is gone, or cannot be read.
    """
    try:
        return (path / name).read_bytes()
    except OSError as fault:
        raise StoreError(
            f"{path / name} cannot be read ({fault.strerror}); it was there when the upload began. What was sent is "
            "kept there, and nobody reads it yet. Push again once the store is whole (kdcache verify)."
        ) from None


def _is_there(there: RemoteStore | None, manifest: Manifest, path: Path) -> bool:
    """Whether a bucket holds all that the store at `path` has.

    Raises:
        StoreMismatch: it holds another store, or lacks something of one whose rows are cut otherwise.
        StoreDamaged: it holds more views, but not all of them.
    """
    if there is None:
        return False
    if differences(there.manifest, manifest):
        raise StoreMismatch(
            f"{there.bucket.url} holds store {there.manifest.store_id}, {path} is {manifest.store_id}. Push to another "
            "URL, or delete what is there with kdcache rm."
        )
    if manifest != manifest.with_views_of(there.manifest) and there.complete < 1:
        raise StoreDamaged(
            f"{there.bucket.url} has more views than {path}, and lacks files of them. Push a copy that has all of them."
        )
    if there.holds(manifest):
        return True
    if not there.manifest.fits_files_of(manifest):
        raise StoreMismatch(
            f"{there.bucket.url} has the numbers of {path}, but its rows are cut or ordered otherwise, as those of "
            "stores of another release are. Pull it, and add views to that copy; or push to another URL."
        )
    return False


def _refuse_foreign(bucket: Bucket) -> None:
    """Refuse a folder of a bucket that holds anything but an upload.

    Raises:
        StoreError: it does.
    """
    others = list(bucket.listing())
    # asked last: another upload may have begun or finished meanwhile
    if others and find_mark(bucket) is None and find_remote(bucket) is None:
        raise StoreError(
            f"{bucket.url} is not a store and not empty (it has {', '.join(others[:3])}{', …' if others[3:] else ''}); "
            "nothing there was touched. Push to another URL, or delete these objects yourself."
        )


def _claim(bucket: Bucket, mine: Mark) -> None:
    """Write the mark of this upload; of one of equal bytes, or from this folder, it takes the place.

    It is written anew even if it is there already: whoever clears away what rests sees that this does not rest.

    Raises:
        StoreBusy: there is one of other bytes, and not from this folder.
    """
    other: Mark | None = None
    while other is None:  # or it was there, and its upload finished before it was read
        if bucket.write_new(CREATING, content_of(mine)):
            return
        other = find_mark(bucket)
    if other.bytes != mine.bytes and other.by != mine.by:
        raise StoreBusy(
            f"{bucket.url}: {other.by} uploads other bytes of this store, since {other.since}. Once that has finished "
            f"the same command finds it there; if nobody is at it any more, `kdcache gc {bucket.url} --older-than 1h` "
            "clears it away."
        )
    bucket.write(CREATING, content_of(mine.and_of(other)))


def _send_all(bucket: Bucket, there: RemoteStore | None, snapshot: _Snapshot, progress: Progress) -> list[int]:
    """Send what is lacking, the manifest last; the sizes of what was sent.

    Raises:
        StoreMismatch: readers use pieces of other bytes there; nothing was sent.
    """
    found = bucket.listing()
    path, root, metadata, records = snapshot.path, snapshot.root, snapshot.metadata, snapshot.records

    def is_sent(piece: Piece) -> bool:
        return piece.record in found and bucket.read(piece.record) == records[piece]

    sent = dict(zip(records, in_parallel(is_sent, records), strict=True))
    in_use = () if there is None else tuple(pieces(there.manifest))
    other = [piece for piece in in_use if piece.record in found and not sent.get(piece, True)]
    if there is not None and other:
        bucket.delete([CREATING])
        raise StoreMismatch(
            f"{bucket.url} holds the same store as {path}, but other bytes, {other[0].title} among them: it was dumped "
            "twice, on other devices perhaps. Pull it, and add views to that copy; or push to another URL."
        )
    lacking = [piece for piece, is_there in sent.items() if not (is_there and set(piece.files) <= found.keys())]
    of_rows = [entry.size for piece in lacking for entry in _objects(records[piece])]
    sizes = [*of_rows, *(len(records[piece]) for piece in lacking), *map(len, metadata.values()), len(root)]
    progress.say(f"{path} -> {bucket.url}: {amount(len(sizes), sum(sizes))}")
    with progress.task("uploading", len(lacking), "pieces") as advance:
        in_parallel(lambda piece: _send(bucket, path, piece, records[piece]), lacking, advance)
    in_parallel(lambda name: bucket.write(name, metadata[name]), metadata)
    bucket.write(ROOT_FILE, root)
    return sizes


def _send(bucket: Bucket, path: Path, piece: Piece, record: bytes) -> None:
    """The files first, each compared with its record, which comes last."""
    for entry in _objects(record):
        content = _read(path, entry.path)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise StoreDamaged(
                f"{path / entry.path} has other bytes than were written (sha256). What came before it is kept there. "
                f"`kdcache repair {path}` redoes it; then push again."
            )
        bucket.write(entry.path, content)
    bucket.write(piece.record, record)


def _objects(record: bytes) -> tuple[StoredObject, ...]:
    return Record.model_validate_json(record).objects
