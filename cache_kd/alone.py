"""Keep other processes out of a folder; the lock goes with the process that holds it, however that ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cache_kd.disk import mending
from cache_kd.errors import RunError


@contextmanager
def alone_in(folder: Path, lock: str, *, busy: str, again: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the file `lock` of `folder`, which is made where it is missing; a file that nobody holds is no hindrance.

    Args:
        folder: that one process may work in.
        lock: name of the file, which stays.
        busy: the sentence where another process holds it.
        again: how to go on once a disk that refuses is mended; see `disk.mending`.
        patience: seconds to wait for another process.

    Raises:
        RunError: another process holds it, or the folder cannot be written to.
    """
    with mending(folder, RunError, option="--out", again=again):
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / lock)
        try:
            held.acquire(timeout=patience)
        except Timeout:
            raise RunError(busy) from None
    try:
        yield
    finally:
        held.release()
