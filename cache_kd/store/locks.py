"""Who writes to a store and who reads it: locks that end with the process that holds them."""

import errno
import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cache_kd.errors import StoreBusy
from cache_kd.store.manifest import LOCK

# file systems that keep no locks on folders; a reader there is not seen by whoever removes the store
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.ENOSYS)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Be the one process that writes to the store at `path`, a folder, while the context is open.

    Raises:
        StoreBusy: another process is.
    """
    try:
        held = FileLock(path / LOCK, timeout=0).acquire()
    except Timeout:
        raise StoreBusy(
            f"{path}: another process is writing to this store. Wait until it has finished, or end it; "
            "then run the same command again: finished shards are kept."
        ) from None
    with held:
        yield


def is_being_written(path: Path) -> bool:
    """Whether a process holds the lock of `writing` now; a lock that may not be opened counts as held."""
    if not (path / LOCK).exists():
        return False
    try:
        with writing(path):
            return False
    except (StoreBusy, OSError):
        return True


class Reading:
    """That a store is read, told to whoever would remove it, for as long as this object lives or its context is open.

    The lock is on the folder itself: nothing is written, so a store may be read where nobody may write. A child
    of a fork holds the same lock; a copy in another process takes its own.
    """

    def __init__(self, path: Path) -> None:
        """Raises StoreBusy where the store is being removed; opening a path that is no folder says why not."""
        self._path = path
        self._let_go: Callable[[], object] = _hold_nothing
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return
        self._let_go = weakref.finalize(self, os.close, handle)
        if not _locked(handle, fcntl.LOCK_SH):
            raise StoreBusy(f"{path} is being removed by another process.")

    def __enter__(self) -> None:
        """It is held already."""

    def __exit__(self, *_: object) -> None:
        """From here on the store may be removed."""
        self._let_go()

    def __reduce__(self) -> tuple[type["Reading"], tuple[Path]]:
        """A process that is given this takes a lock of its own."""
        return Reading, (self._path,)


@contextmanager
def unread(path: Path) -> Iterator[None]:
    """Keep readers away from the store at `path` while the context is open.

    Raises:
        StoreBusy: there is one.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _locked(handle, fcntl.LOCK_EX):
            raise StoreBusy(
                f"{path}: a process is reading this store. Wait until it has finished, or end it; --force removes "
                "the store nevertheless, and that process will stop with an error."
            )
        yield
    finally:
        os.close(handle)


def _hold_nothing() -> None:
    pass


def _locked(handle: int, kind: int) -> bool:
    """Whether the lock was taken, or the file system keeps none."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as fault:
        if fault.errno not in NO_LOCKS:
            raise
    return True
