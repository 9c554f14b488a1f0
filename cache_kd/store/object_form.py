"""What one file of a store's arrays looks like: chunks of rows, each with its checksum, and an index of them."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cache_kd.store.arrays import StoredArray

CRC_BYTES = 4  # after every chunk, and after the index
ENTRY_BYTES = 16  # of a chunk in the index: offset and length, both little-endian
NOT_WRITTEN = 2**64 - 1  # offset and length of a chunk that the file lacks

# A chunk in a shard begins where a cache line does, as the memory does that it is read into: the kernel copies 1 MB
# from one to the other at 0.88 of a memmap's speed, and at 0.64 where they are some bytes apart (n = 21).
LINE_BYTES = 64


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

    @property
    def stored_bytes(self) -> int:
        """Of a chunk with its checksum."""
        return self.chunk_bytes + CRC_BYTES

    @property
    def stride(self) -> int:
        """From where a chunk begins to where the next one does; nothing depends on what is between them."""
        return -(-self.stored_bytes // LINE_BYTES) * LINE_BYTES if self.sharded else self.stored_bytes

    def filled_chunks(self, filled: int) -> int:
        """How many chunks hold `filled` bytes of rows; the last one may be part of padding."""
        return -(-filled // self.chunk_bytes)


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
