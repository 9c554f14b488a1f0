"""Removes a store or the beginnings of one: the files that it is made of, and no other."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from cache_kd.errors import StoreBusy, StoreError
from cache_kd.files import destination_of, files_below
from cache_kd.store.catalog import store_folders
from cache_kd.store.damage import own_files
from cache_kd.store.disk import mending
from cache_kd.store.folder import is_begun, left_by_a_beginning, prune
from cache_kd.store.locks import is_being_written, unread, writing
from cache_kd.store.manifest import LOCK, ROOT_FILE, read_manifest
from cache_kd.store.record import FOLDER, is_recorded, is_there, pieces


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What of a folder is a store's, and would go.

    Attributes:
        path: of the store; the URL of one in a bucket.
        store_id: None for a dump that was interrupted before its manifest was written.
        written: the share of its shards, labels and witnesses that have a record, 0 to 1.
        files: below `path`, in the order of removal.
        bytes: of these.
        foreign: files that are none of the store's; they stay, and the folders that they are in.
        idle: seconds since the last of `files` was written.
    """

    path: Path | str
    store_id: str | None
    written: float
    files: tuple[str, ...]
    bytes: int
    foreign: tuple[str, ...]
    idle: float


def survey(path: Path) -> Remains:
    """What would be removed of the store at `path`, and what would stay.

    Raises:
        StoreError: there is no store, a link leads to it, or a newer release wrote it.
        StoreDamaged: its manifest is damaged, so that nobody knows which files are its own.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a link to {path.resolve()}; pass that folder itself.")
    present = files_below(path)
    if is_begun(path):
        store_id, written = None, 0.0
        mine = set(filter(left_by_a_beginning, present))
    else:
        manifest = read_manifest(path)
        every = list(pieces(manifest))
        store_id, own = manifest.store_id, own_files(path, manifest)
        written = sum(is_recorded(path, piece) for piece in every) / len(every)
        mine = {file for file in present if destination_of(file) in own}
    stats = {}
    for file in mine:
        with suppress(FileNotFoundError):  # a dump that is at work renames and deletes
            stats[file] = (path / file).lstat()
    written_last = max((stat.st_mtime for file, stat in stats.items() if file != LOCK), default=0.0)
    return Remains(
        path=path,
        store_id=store_id,
        written=written,
        files=tuple(sorted(stats, key=_order)),
        bytes=sum(stat.st_size for stat in stats.values()),
        foreign=tuple(sorted(present - mine)),
        idle=time.time() - written_last,
    )


def remove(path: Path, *, force: bool = False, admit: Callable[[Remains], None] = lambda remains: None) -> Remains:
    """Delete the store at `path`; one that was killed meanwhile goes on when it is called again.

    Args:
        path: of the store.
        force: also while processes read it; they stop with an error at the next file.
        admit: is shown what would go once nobody else can write to it, and raises where that is to stay.

    Raises:
        StoreBusy: a process writes to the store, or reads it.
        StoreError: see `survey`; or a file cannot be deleted.
    """
    survey(path)
    with mending(path), ExitStack() as locks:
        locks.enter_context(nullcontext() if force else unread(path))
        locks.enter_context(writing(path))
        remains = survey(path)
        admit(remains)
        below = [file for file in remains.files if "/" in file]
        _unlink(path, below)
        prune(path)
        # without the manifest nobody could tell what else was ours, so it goes when all else has gone
        _unlink(path, remains.files[len(below) :])
        with suppress(OSError):  # with files of others in it, a mount point, or in a folder of somebody else's
            path.resolve().rmdir()  # `.` by its name
    return remains


def abandoned(root: Path, *, older_than: float) -> list[Remains]:
    """The dumps at or below `root` that began, never finished, and were not written to for `older_than` seconds.

    A store of which something was lost afterwards is not among them while a file of each missing piece is left, nor
    is one whose manifest is damaged: these may be mended.

    Raises:
        StoreError: `root` is not a folder.
    """
    found = []
    for path in store_folders(root):
        with suppress(StoreError):  # it was deleted meanwhile, or is closed to us
            if not is_being_written(path) and _is_unfinished(path):
                remains = survey(path)
                if remains.idle >= older_than:
                    found.append(remains)
    return found


def remove_abandoned(found: Remains, *, older_than: float) -> Remains:
    """Delete what `abandoned` found, unless somebody has gone on with it since.

    Raises:
        StoreBusy: somebody has, is at it, or reads it.
        StoreError: it is gone, or a file cannot be deleted.
    """
    path = Path(found.path)

    def admit(remains: Remains) -> None:
        if remains.store_id != found.store_id or remains.idle < older_than or not _is_unfinished(path):
            raise StoreBusy(f"{path} was written to since it was listed; nothing of it was deleted.")

    return remove(path, admit=admit)


def _is_unfinished(path: Path) -> bool:
    """Whether a piece of the store has neither a record nor a file, as if nobody had come that far."""
    if is_begun(path):
        return True
    try:
        manifest = read_manifest(path)
    except StoreError:
        return False
    return any(
        not is_recorded(path, piece) and not any(is_there(path / file) for file in piece.files)
        for piece in pieces(manifest)
    )


def _order(file: str) -> tuple[int, str]:
    """Records first, so that no reader trusts what is left; then rows; the manifest and the lock last."""
    last = {ROOT_FILE: 3, LOCK: 4}
    return (0 if file.startswith(f"{FOLDER}/") else 1 if "/" in file else last.get(file, 2)), file


def _unlink(path: Path, files: Iterable[str]) -> None:
    for file in files:
        (path / file).unlink(missing_ok=True)
