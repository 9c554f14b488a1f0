"""Copies a finished store into a bucket so that nobody there ever sees a part of one: its manifest comes last."""

import datetime
import hashlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.parallel import in_parallel
from cache_kd.bucket.remote import RemoteStore, find_remote
from cache_kd.bucket.transfer import Transfer, amount
from cache_kd.errors import StoreBusy, StoreDamaged, StoreMismatch
from cache_kd.progress import Progress, Silent
from cache_kd.store.arrays import metadata_files
from cache_kd.store.manifest import CREATING, ROOT_FILE, Manifest, differences
from cache_kd.store.reader import Reader
from cache_kd.store.record import Piece, Record, StoredObject, pieces


def push(path: Path, url: str, progress: Progress | None = None) -> Transfer:
    """Copy the finished store at `path` to `url`, or add its views to the same store there.

    Interrupt it and repeat it as you like: pieces whose record is there are not sent again. Until the manifest, the
    last object, is written, readers see no store, or the one with fewer views that was there before.

    A mark, written under the condition that there is none, says who uploads which bytes. Whoever has the same bytes
    joins in, for objects are then overwritten by their equals; whoever has others waits for another day.

    Raises:
        StoreMismatch: `url` holds another store, or the same one with other bytes.
        StoreBusy: somebody uploads other bytes of the same store.
        StoreIncomplete: the store at `path` is not finished.
        StoreDamaged: a file of it is not what was written; no record of it was sent.
        StoreError: the bucket cannot be written to.
    """
    manifest = Reader.open(path).manifest
    bucket = Bucket.open(url, create=True)
    sent: list[int] = []
    if not _is_there(find_remote(bucket), manifest, path):
        records = {piece: (path / piece.record).read_bytes() for piece in pieces(manifest)}
        _claim(bucket, path, manifest, records)
        # asked again, for whoever had the mark before may have finished
        there = find_remote(bucket)
        if not _is_there(there, manifest, path):
            sent = _send_all(bucket, there, path, manifest, records, progress or Silent())
        bucket.delete([CREATING])
    return Transfer(
        store=str(path),
        url=url,
        store_id=manifest.store_id,
        views=manifest.parts["train"].views,
        files=len(sent),
        bytes=sum(sent),
    )


def _is_there(there: RemoteStore | None, manifest: Manifest, path: Path) -> bool:
    """Whether a bucket holds all that the store at `path` has.

    Raises:
        StoreMismatch: it holds another store.
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
    return there.holds(manifest)


def _claim(bucket: Bucket, path: Path, manifest: Manifest, records: Mapping[Piece, bytes]) -> None:
    """Write the mark of this upload, unless it or that of equal bytes is there.

    Raises:
        StoreBusy: there is one of other bytes, and not from this folder.
    """
    digest = hashlib.sha256(b"".join(records.values())).hexdigest()
    mark = {
        "store_id": manifest.store_id,
        "bytes": digest,
        "by": f"{socket.gethostname()}:{path.resolve()}",
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    content = json.dumps(mark).encode()
    other: dict[str, Any] | None = None
    while other is None:  # or it was there, and its upload finished before it was read
        if bucket.write_new(CREATING, content):
            return
        other = _mark_in(bucket)
    if other.get("bytes") == digest:
        return
    if other.get("by") != mark["by"]:
        raise StoreBusy(
            f"{bucket.url}: {other.get('by', 'somebody')} uploads other bytes of this store, since "
            f"{other.get('since', 'some time')}. Once that has finished the same command finds it there; if nobody is "
            f"at it any more, `kdcache gc {bucket.url} --older-than 1h` clears it away."
        )
    bucket.write(CREATING, content)


def _mark_in(bucket: Bucket) -> dict[str, Any] | None:
    content = bucket.find(CREATING)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _send_all(
    bucket: Bucket,
    there: RemoteStore | None,
    path: Path,
    manifest: Manifest,
    records: Mapping[Piece, bytes],
    progress: Progress,
) -> list[int]:
    """Send what is lacking, the manifest last; the sizes of what was sent.

    Raises:
        StoreMismatch: readers use pieces of other bytes there; nothing was sent.
    """
    found = bucket.listing()

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
    metadata = {name: (path / name).read_bytes() for name in metadata_files(manifest)}
    root = (path / ROOT_FILE).read_bytes()
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
        content = (path / entry.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise StoreDamaged(
                f"{path / entry.path} has other bytes than were written (sha256). What came before it is kept there. "
                f"`kdcache repair {path}` redoes it; then push again."
            )
        bucket.write(entry.path, content)
    bucket.write(piece.record, record)


def _objects(record: bytes) -> tuple[StoredObject, ...]:
    return Record.model_validate_json(record).objects
