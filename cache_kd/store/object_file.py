"""One file of a store's arrays, read into memory that is there already, with every checksum compared."""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastcrc.crc32 import iscsi as crc32c  # 48 GB/s in cache; google-crc32c, which zarr has, 28
from numpy.typing import NDArray

from cache_kd.store.arrays import StoredArray

CRC_BYTES = 4  # after every chunk, and after the index
ENTRY_BYTES = 16  # of a chunk in the index: offset and length, both little-endian
NOT_WRITTEN = 2**64 - 1  # offset and length of a chunk that the file lacks
ABSENT = -1  # the same, in `Seen`

Signature = tuple[int, ...]


class Unsound(ValueError):
    """What is wrong with a file, as the end of a sentence that begins with its path."""


class ObjectForm(NamedTuple):
    """What a file holds: chunks of one size, and an index at its end where it is a shard."""

    chunks: int
    chunk_bytes: int  # without the checksum
    sharded: bool
    dtype: str

    @property
    def index_bytes(self) -> int:
        """At the end of the file."""
        return self.chunks * ENTRY_BYTES + CRC_BYTES if self.sharded else 0


class Seen(NamedTuple):
    """A file that was found to hold the bytes that were written, and where its chunks lie in it."""

    signature: Signature
    offsets: tuple[int, ...]


@lru_cache(maxsize=64)
def form_of(array: StoredArray) -> ObjectForm:
    """The form of the files of `array`."""
    rows = array.chunk_shape or array.object_shape
    return ObjectForm(
        chunks=int(np.prod(array.object_shape) // np.prod(rows)),
        chunk_bytes=int(np.prod(rows)) * np.dtype(array.dtype).itemsize,
        sharded=array.chunk_shape is not None,
        dtype=array.dtype,
    )


def read_chunks(
    file: Path,
    form: ObjectForm,
    wanted: Mapping[int, NDArray[Any]],
    *,
    filled: int,
    sha256: Callable[[], str],
    seen: Seen | None,
) -> Seen:
    """Fill arrays with the rows of chunks.

    The first time all of the file is read, and the very bytes that are given back have been compared with the sha256,
    each chunk with its crc32c, floats with NaN. From then on, as long as size, times and inode stay the same, chunks
    are read alone and compared with their crc32c.

    Args:
        file: opened for this call alone, so that threads and processes have nothing to share.
        form: of it.
        wanted: for each chunk the array that takes its first rows, contiguous; none beyond the filled ones.
        filled: bytes of rows in the file; padding comes after them.
        sha256: gives that of the file as it was written; asked where the whole file is read.
        seen: what the last call gave for this file.

    Raises:
        Unsound: it is not the file that was written.
        OSError: it cannot be read.
    """
    with file.open("rb", buffering=0) as opened:
        handle = opened.fileno()
        state = os.fstat(handle)
        signature = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev)
        if seen is None or seen.signature != signature:
            content = _scratch(state.st_size)
            _read(handle, [content.data], 0)
            return Seen(signature, _take_whole(content, form, wanted, filled, sha256()))
        for chunk, rows in wanted.items():
            _take_chunk(handle, seen.offsets[chunk], form, rows)
        return seen


def _take_whole(
    content: NDArray[np.uint8], form: ObjectForm, wanted: Mapping[int, NDArray[Any]], filled: int, sha256: str
) -> tuple[int, ...]:
    if hashlib.sha256(content.data).hexdigest() != sha256:
        raise Unsound("has other bytes than were written (sha256)")
    offsets = _offsets(content, form)
    for chunk in range(-(-filled // form.chunk_bytes)):
        if offsets[chunk] == ABSENT:
            raise Unsound("holds rows that were never written")
        stored = content[offsets[chunk] :][: form.chunk_bytes + CRC_BYTES]
        _compare(crc32c(stored[:-CRC_BYTES].data), stored[-CRC_BYTES:])
        rows = stored[: min(filled - chunk * form.chunk_bytes, form.chunk_bytes)]
        if _has_nan(rows, form.dtype):
            raise Unsound("holds rows that were never written")
        if chunk in wanted:
            target = _bytes_of(wanted[chunk])
            target[:] = rows[: len(target)]
    return offsets


def _has_nan(rows: NDArray[np.uint8], dtype: str) -> bool:
    if dtype == "float16":  # numpy takes five times as long
        return bool(((rows.view(np.uint16) & 0x7FFF) > 0x7C00).any())
    return dtype.startswith("float") and bool(np.isnan(rows.view(dtype)).any())


def _offsets(content: NDArray[np.uint8], form: ObjectForm) -> tuple[int, ...]:
    """Where each chunk begins, as the index says."""
    payload = len(content) - form.index_bytes
    if not form.sharded:
        if payload != form.chunk_bytes + CRC_BYTES:
            raise Unsound(f"has {payload} bytes; its chunk takes {form.chunk_bytes + CRC_BYTES}")
        return (0,)
    if payload < 0:
        raise Unsound(f"has {len(content)} bytes; its index alone takes {form.index_bytes}")
    index = content[payload:]
    _compare(crc32c(index[:-CRC_BYTES].data), index[-CRC_BYTES:])
    offsets = []
    for offset, length in index[:-CRC_BYTES].view("<u8").reshape(-1, 2).tolist():
        absent = offset == length == NOT_WRITTEN
        if not absent and (length != form.chunk_bytes + CRC_BYTES or offset + length > payload):
            raise Unsound(f"has an index that points to {length} bytes at {offset}, of {payload}")
        offsets.append(ABSENT if absent else offset)
    return tuple(offsets)


def _take_chunk(handle: int, offset: int, form: ObjectForm, rows: NDArray[Any]) -> None:
    target = _bytes_of(rows)
    rest = _scratch(form.chunk_bytes - len(target) + CRC_BYTES)
    _read(handle, [target.data, rest.data], offset)
    _compare(crc32c(rest[:-CRC_BYTES].data, crc32c(target.data)), rest[-CRC_BYTES:])


def _read(handle: int, parts: list[memoryview], offset: int) -> None:
    """Fill all `parts` from `offset` on; a file system may give less than was asked for at once."""
    while parts:
        count = os.preadv(handle, parts, offset)
        if count == 0 and any(map(len, parts)):
            raise Unsound(f"ends at byte {offset}, before the rows that it held")
        offset += count
        while parts and count >= len(parts[0]):
            count -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][count:]


def _compare(computed: int, stored: NDArray[np.uint8]) -> None:
    if computed != int.from_bytes(stored.tobytes(), "little"):
        raise Unsound("has a chunk whose checksum does not hold (crc32c)")


def _bytes_of(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """The memory of a contiguous array."""
    assert rows.flags.c_contiguous
    return rows.reshape(-1).view(np.uint8)


# Memory that a thread keeps: fresh pages for a file of 16 MB take longer than reading it.
_own = threading.local()


def _scratch(size: int) -> NDArray[np.uint8]:
    if len(getattr(_own, "memory", ())) < size:
        _own.memory = np.empty(size, dtype=np.uint8)
    memory: NDArray[np.uint8] = _own.memory
    return memory[:size]
