"""An HDF5 file that appears whole or not at all, also where the disk is full."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from cache_kd.files import sync_folder

# Since HDF5 1.10 (2016) all of a file's own bookkeeping has checksums.
READABLE_SINCE = "v110"


class Disk(io.FileIO):
    """Where HDF5 writes to; it keeps the first fault of the disk to itself.

    Told of one, HDF5 can neither close its file nor let go of it, and complains on stderr for every object in it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._fault: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of `content`, or as much as fits."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest):
                rest = rest[super().write(rest) :]
        except OSError as fault:
            self._fault = self._fault or fault
        return size

    def demand_sound(self) -> None:
        """Raise the first fault, if there was one.

        Raises:
            OSError: as the disk gave it.
        """
        if self._fault is not None:
            raise self._fault


@contextmanager
def whole_file(path: Path) -> Iterator[tuple[h5py.File, Disk]]:
    """A new HDF5 file that gets its name once all of it is on the disk; whatever goes wrong leaves nothing behind.

    Raises:
        OSError: the disk does not take it; ask the `Disk` now and then, not only at the end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with Disk(temporary) as disk:
            with h5py.File(disk, "w", libver=(READABLE_SINCE, READABLE_SINCE)) as file:
                yield file, disk
            disk.demand_sound()
            os.fsync(disk.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
