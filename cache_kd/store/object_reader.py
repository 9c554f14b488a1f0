"""One file of a store's arrays, read into memory that is there already, with every checksum compared."""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastcrc.crc32 import iscsi as crc32c  # 48 GB/s in cache; google-crc32c, which zarr has, 28
from numpy.typing import NDArray

from cache_kd.store.memory import scratch
from cache_kd.store.object_form import CRC_BYTES, LINE_BYTES, NOT_WRITTEN, ObjectForm
from cache_kd.store.signature import Signature, signature_of

ABSENT = -1  # offset of a chunk that the file lacks

# Chunks side by side are read in one call, as many as the caches still hold when their checksums are computed: a shard
# of 1,000 classes in uint8 takes 0.96 of the time that a call for each chunk takes (n = 21).
JOINED_BYTES = 2**22
JOINED_CHUNKS = 256  # a call takes 1,024 pieces of memory, two for each chunk


class Unsound(ValueError):
    """What is wrong with a file, as the end of a sentence that begins with its path."""


class Seen(NamedTuple):
    """A file that was found to hold the bytes that were written, and where its chunks lie in it."""

    signature: Signature
    offsets: tuple[int, ...]


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
        signature = signature_of(state)
        if seen is None or seen.signature != signature:
            content = scratch(state.st_size)
            _read(handle, [content.data], 0)
            return Seen(signature, _take_whole(content, form, wanted, filled, sha256()))
        for side_by_side in _runs(seen.offsets, form, wanted):
            _take_run(handle, seen.offsets, form, {chunk: _bytes_of(wanted[chunk]) for chunk in side_by_side})
        return seen


def _take_whole(
    content: NDArray[np.uint8], form: ObjectForm, wanted: Mapping[int, NDArray[Any]], filled: int, sha256: str
) -> tuple[int, ...]:
    if hashlib.sha256(content.data).hexdigest() != sha256:
        raise Unsound("has other bytes than were written (sha256)")
    offsets = _offsets(content, form)
    for chunk in range(form.filled_chunks(filled)):
        if offsets[chunk] == ABSENT:
            raise Unsound("holds rows that were never written")
        stored = content[offsets[chunk] :][: form.stored_bytes]
        _compare(crc32c(stored[:-CRC_BYTES].data), stored[-CRC_BYTES:].data)
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
        if payload != form.stored_bytes:
            raise Unsound(f"has {payload} bytes; its chunk takes {form.stored_bytes}")
        return (0,)
    if payload < 0:
        raise Unsound(f"has {len(content)} bytes; its index alone takes {form.index_bytes}")
    index = content[payload:]
    _compare(crc32c(index[:-CRC_BYTES].data), index[-CRC_BYTES:].data)
    offsets = []
    for offset, length in index[:-CRC_BYTES].view("<u8").reshape(-1, 2).tolist():
        absent = offset == length == NOT_WRITTEN
        if not absent and (length != form.stored_bytes or offset + length > payload):
            raise Unsound(f"has an index that points to {length} bytes at {offset}, of {payload}")
        offsets.append(ABSENT if absent else offset)
    return tuple(offsets)


def _runs(offsets: tuple[int, ...], form: ObjectForm, wanted: Mapping[int, Any]) -> Iterator[list[int]]:
    """The wanted chunks in the order of the file, cut where something else lies between two of them."""
    run: list[int] = []
    most = min(JOINED_CHUNKS, max(1, JOINED_BYTES // form.chunk_bytes))
    for chunk in sorted(wanted, key=offsets.__getitem__):
        if run and (len(run) == most or not 0 <= offsets[chunk] - offsets[run[-1]] - form.stored_bytes < LINE_BYTES):
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run


def _take_run(
    handle: int, offsets: tuple[int, ...], form: ObjectForm, targets: Mapping[int, NDArray[np.uint8]]
) -> None:
    """Fill `targets` with the first bytes of chunks that lie side by side, in this order."""
    starts = [offsets[chunk] for chunk in targets]
    ends = [*starts[1:], starts[-1] + form.stored_bytes]
    rests = [end - start - len(target) for start, end, target in zip(starts, ends, targets.values(), strict=True)]
    cuts = list(itertools.accumulate(rests, initial=0))
    memory = scratch(cuts[-1]).data
    beyond = [memory[start:stop] for start, stop in itertools.pairwise(cuts)]
    parts = list(zip((target.data for target in targets.values()), beyond, strict=True))
    _read(handle, list(itertools.chain.from_iterable(parts)), starts[0])
    for rows, rest in parts:
        padding = form.chunk_bytes - len(rows)
        _compare(crc32c(rest[:padding], crc32c(rows)), rest[padding : padding + CRC_BYTES])


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


def _compare(computed: int, stored: memoryview) -> None:
    if computed != int.from_bytes(stored, "little"):
        raise Unsound("has a chunk whose checksum does not hold (crc32c)")


def _bytes_of(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """The memory of a contiguous array."""
    assert rows.flags.c_contiguous
    return rows.reshape(-1).view(np.uint8)
