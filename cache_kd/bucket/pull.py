"""Copies a store out of a bucket: what is lacking here and nothing else, each file compared with its checksum."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cache_kd.bucket.parallel import in_parallel
from cache_kd.bucket.remote import RemoteStore, open_remote
from cache_kd.bucket.transfer import Transfer, amount
from cache_kd.errors import StoreBusy, StoreDamaged, StoreIncomplete, StoreMismatch
from cache_kd.files import write_whole
from cache_kd.progress import Progress, Silent
from cache_kd.store.disk import mending
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
)
from cache_kd.store.locks import writing
from cache_kd.store.manifest import ROOT_FILE, Manifest, root_file
from cache_kd.store.record import Piece, Record, find_fault, is_recorded, pieces

LOOKS = 0.5  # seconds between two looks at whether another process still writes


def pull(url: str, path: Path, progress: Progress | None = None) -> Transfer:
    """Copy the finished store at `url` to the folder `path`, or bring an earlier copy of it up to date.

    Interrupt it and repeat it as you like: what came whole is kept. Views that an earlier copy lacks are added while
    it can be read. Objects that the manifest does not account for are left where they are.

    Raises:
        StoreMismatch: `path` holds another store, or the same one with other bytes.
        StoreIncomplete: there is no finished store at `url`.
        StoreDamaged: a file there is not what its completion record says.
        StoreError: the bucket cannot be read, or `path` not written.
    """
    remote = open_remote(url)
    return copy_here(remote, path, progress or Silent()).transfer


@dataclass(frozen=True, kw_only=True)
class Copied:
    """A copy that is up to date.

    Attributes:
        transfer: what it took.
        e_tags: of every completion record, by which the next comparison needs no request for it.
    """

    transfer: Transfer
    e_tags: dict[str, str]


class OtherBytes(StoreMismatch):
    """A copy whose files are not those of the bucket, though it is of the same numbers."""


def copy_here(
    remote: RemoteStore, path: Path, progress: Progress, *, e_tags: Mapping[str, str] | None = None
) -> Copied:
    """`pull` of a store that was looked at already.

    Args:
        remote: the store.
        path: of the copy.
        progress: who watches.
        e_tags: what the last `Copied` of this path said; without it every completion record is fetched.

    Raises:
        OtherBytes: see there; nothing was changed.
        StoreError: see `pull`.
    """
    url, manifest = remote.bucket.url, remote.manifest
    if remote.complete < 1:
        raise StoreIncomplete(
            f"{url} has {100 * remote.complete:.1f} % of its files; an upload of it from a whole copy (kdcache push) "
            "adds the others."
        )
    with mending(path):
        claimed(path, manifest)
        if is_store(path) and _needs_nothing(remote, path, e_tags or {}):
            return _copied(remote, path, [])
    with mending(path, needed=remote.bytes), _writing_in_turn(path, progress):
        if is_store(path):
            stored = _matching(remote, path)
        else:
            stored = create(path, manifest)
            clear_temporaries(path, stored)
        lacking = _lacking(remote, path, e_tags or {})
        new_views = stored != stored.with_views_of(manifest)
        if lacking or new_views:
            progress.say(f"{url} -> {path}: {amount(*_size(remote, lacking))} of {amount(*_size(remote))}")
            clear_temporaries(path, stored)
            grow(path, stored, manifest)
            discard(path, lacking)
            _fetch_all(remote, path, lacking, progress)
            if new_views:
                write_whole(path / ROOT_FILE, root_file(manifest))
        elif not is_whole(path, manifest):
            grow(path, stored, manifest)
    return _copied(remote, path, lacking)


def _copied(remote: RemoteStore, path: Path, fetched: list[Piece]) -> Copied:
    manifest = remote.manifest
    files, size = _size(remote, fetched)
    found = {piece.record: remote.found[piece.record].e_tag for piece in pieces(manifest)}
    return Copied(
        transfer=Transfer(
            store=str(path),
            url=remote.bucket.url,
            store_id=manifest.store_id,
            views=manifest.parts["train"].views,
            files=files,
            bytes=size,
        ),
        e_tags={name: e_tag for name, e_tag in found.items() if e_tag},
    )


def _needs_nothing(remote: RemoteStore, path: Path, e_tags: Mapping[str, str]) -> bool:
    """Whether the copy is all that the bucket has, so that it may be one that this user may only read."""
    stored = _matching(remote, path)
    return (
        stored == stored.with_views_of(remote.manifest)
        and is_whole(path, remote.manifest)
        and not _lacking(remote, path, e_tags)
    )


def _matching(remote: RemoteStore, path: Path) -> Manifest:
    """The manifest of the copy.

    Raises:
        StoreMismatch: it is of other numbers.
        OtherBytes: it is of the same ones, but files of the bucket cannot stand beside its own.
    """
    stored = fitting(path, remote.manifest)
    if not stored.fits_files_of(remote.manifest):
        raise OtherBytes(
            f"{path} has the numbers of {remote.bucket.url}, but its rows are cut or ordered otherwise, as those of "
            "stores of another release are. Pull into another folder; nothing was changed."
        )
    return stored


@contextmanager
def _writing_in_turn(path: Path, progress: Progress) -> Iterator[None]:
    """Be the one process that writes to the copy, after any other that does: the ranks of one machine share it."""
    with ExitStack() as held:
        waiting = False
        while True:
            try:
                held.enter_context(writing(path))
                break
            except StoreBusy:
                if not waiting:
                    progress.say(f"Another process is writing to {path}: waiting for it.")
                waiting = True
                time.sleep(LOOKS)
        yield


def _lacking(remote: RemoteStore, path: Path, e_tags: Mapping[str, str]) -> list[Piece]:
    """What is not here yet, or not whole."""
    manifest = remote.manifest
    here = [
        piece
        for piece in pieces(manifest)
        if is_recorded(path, piece) and not find_fault(path, manifest.store_id, piece)
    ]

    def differs(piece: Piece) -> bool:
        e_tag = remote.found[piece.record].e_tag
        if e_tag is not None and e_tags.get(piece.record) == e_tag:
            return False
        return remote.bucket.read(piece.record) != (path / piece.record).read_bytes()

    other = [piece for piece, differing in zip(here, in_parallel(differs, here), strict=True) if differing]
    if other:
        raise OtherBytes(
            f"{path} holds the same store as {remote.bucket.url}, but other bytes, {other[0].title} among them: it was "
            "dumped twice, on other devices perhaps. Pull into another folder, or kdcache rm this one first."
        )
    return [piece for piece in pieces(manifest) if piece not in here]


def _fetch_all(remote: RemoteStore, path: Path, lacking: list[Piece], progress: Progress) -> None:
    for folder in sorted({str(Path(name).parent) for piece in lacking for name in (piece.record, *piece.files)}):
        make_folders(path, Path(folder))
    with progress.task("copying", len(lacking), "pieces") as advance:
        in_parallel(lambda piece: _fetch(remote, path, piece), lacking, advance)


def _fetch(remote: RemoteStore, path: Path, piece: Piece) -> None:
    """The files first, then the record that vouches for them."""
    url, content = remote.bucket.url, remote.bucket.read(piece.record)
    try:
        record = Record.model_validate_json(content)
    except ValidationError:
        raise _damaged(url, f"{piece.record} is not a completion record") from None
    names = tuple(entry.path for entry in record.objects)
    if record.store_id != remote.manifest.store_id or names != piece.files or record.rows != piece.rows:
        raise _damaged(url, f"{piece.record} is not the record of {piece.title}")
    for entry in record.objects:
        size = remote.found[entry.path].size
        if size != entry.size:
            raise _damaged(url, f"{entry.path} has {size} bytes, {entry.size} were written")
        rows = remote.bucket.read(entry.path)
        if hashlib.sha256(rows).hexdigest() != entry.sha256:
            raise _damaged(url, f"{entry.path} has other bytes than were written (sha256)")
        write_whole(path / entry.path, rows)
    write_whole(path / piece.record, content)


def _size(remote: RemoteStore, some: list[Piece] | None = None) -> tuple[int, int]:
    """How many files, and how many bytes, some pieces have; without `some` all of them."""
    wanted = list(pieces(remote.manifest)) if some is None else some
    sizes = [remote.found[name].size for piece in wanted for name in (piece.record, *piece.files)]
    return len(sizes), sum(sizes)


def _damaged(url: str, what: str) -> StoreDamaged:
    return StoreDamaged(
        f"{url}/{what}. What came whole is kept. Delete that store (kdcache rm {url} --force) and push a whole copy."
    )
