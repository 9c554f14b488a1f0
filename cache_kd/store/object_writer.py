"""One file of a store's arrays, written: the same bytes for the same rows, and zarr reads them."""

from pathlib import Path
from typing import Any

import numpy as np
from fastcrc.crc32 import iscsi as crc32c
from numpy.typing import NDArray

from cache_kd.store.arrays import StoredArray
from cache_kd.store.object_form import CRC_BYTES, NOT_WRITTEN, form_of


def write_object(file: Path, array: StoredArray, rows: NDArray[Any]) -> None:
    """Write one shard or plain chunk of `array`; where its rows leave a chunk unfinished, the fill value follows.

    zarr packs chunks without a gap, and so at addresses that are slow to read from (`object_form.LINE_BYTES`).

    Args:
        file: to be made, in a folder that is there. A kill leaves a part of it, which no record vouches for.
        array: whose file it is.
        rows: the first ones in the file, as many as there are.

    Raises:
        OSError: the disk is full or cannot be written to, or the file exists.
    """
    form = form_of(array)
    content = _little_endian(rows, array)
    filled = form.filled_chunks(len(content))
    index = np.full((form.chunks, 2), NOT_WRITTEN, dtype="<u8")
    index[:filled, 0] = np.arange(filled) * form.stride
    index[:filled, 1] = form.stored_bytes
    with file.open("xb") as opened:
        for number in range(filled):
            chunk = content[number * form.chunk_bytes :][: form.chunk_bytes]
            missing = (form.chunk_bytes - len(chunk)) // np.dtype(array.dtype).itemsize
            padding = _little_endian(np.full(missing, float(array.fill)), array)
            opened.write(chunk.data)
            opened.write(padding.data)
            opened.write(_checksum(chunk, padding))
            opened.write(bytes(form.stride - form.stored_bytes))
        if form.sharded:
            entries = index.reshape(-1).view(np.uint8)
            opened.write(entries.data)
            opened.write(_checksum(entries))


def _little_endian(numbers: NDArray[Any], array: StoredArray) -> NDArray[np.uint8]:
    typed = np.ascontiguousarray(numbers, dtype=np.dtype(array.dtype).newbyteorder("<"))
    return typed.reshape(-1).view(np.uint8)


def _checksum(*parts: NDArray[np.uint8]) -> bytes:
    value = 0
    for part in parts:
        value = crc32c(part.data, value)
    return value.to_bytes(CRC_BYTES, "little")
