"""A file's bytes where the kernel keeps them, without a copy: only those that it says beforehand are there to read."""

import errno
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

POPULATE_READ = 22  # Linux's MADV_POPULATE_READ, since 5.14; the standard library has no name for it


class Mapped:
    """The bytes of one open file.

    Args:
        mapping: of the whole file.
    """

    def __init__(self, mapping: mmap.mmap) -> None:
        self._mapping = mapping

    def __len__(self) -> int:
        """Bytes of the file."""
        return len(self._mapping)

    def fetch(self, start: int, count: int) -> mmap.mmap:
        """The mapping, in which bytes `start` to `start + count` may now be touched.

        Without this, touching bytes that a file lost a moment ago, or that a disk cannot read, would end the process
        with a bus error.

        Raises:
            OSError: they cannot be read, or are no longer there.
        """
        page = start // mmap.PAGESIZE * mmap.PAGESIZE
        self._mapping.madvise(POPULATE_READ, page, start + count - page)
        return self._mapping


@contextmanager
def mapped(handle: int, size: int) -> Iterator[Mapped]:
    """Map the first `size` bytes, at least one, of an open file; `can_map` was asked before.

    Raises:
        OSError: it is shorter, or cannot be mapped.
    """
    try:
        mapping = mmap.mmap(handle, size, access=mmap.ACCESS_READ)
    except ValueError as fault:  # it was cut a moment ago
        raise OSError(errno.ENODATA, str(fault)) from None
    with mapping:
        yield Mapped(mapping)


@cache
def can_map() -> bool:
    """Whether this kernel says beforehand that bytes of a mapped file cannot be read."""
    try:
        with mmap.mmap(-1, mmap.PAGESIZE) as memory:
            memory.madvise(POPULATE_READ)
    except (AttributeError, OSError):  # another system than Linux, or an older one
        return False
    return True
