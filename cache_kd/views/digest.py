"""Short proofs of pixels: one crc32 per picture."""

import math
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cache_kd.types import Digests, Pixels

BITS = 32

# rows that are laid over each other at once: with their overlay they fit a core's cache. Of larger rows than this one
# at a time is as fast: 22 us for 224x224x3, 2 % of decoding it
BLOCK = 64
LARGEST_ROW = 1 << 15  # bytes

# by how many bytes each row lies further to the right than the one before; any number above 0 would do
SHIFT = 8


def digests(pixels: Pixels) -> Digests:
    """The crc32 of each row's bytes; about 0.7 us for 32x32x3, 22 us for 224x224x3."""
    whole = np.ascontiguousarray(pixels)
    return np.fromiter((zlib.crc32(picture) for picture in whole), dtype=np.uint32, count=len(whole))


def all_match(pixels: Pixels, expected: Digests) -> bool:
    """Whether the rows have the `expected` digests, in their order; for small rows in a third of their time.

    A crc32 is linear: rows that are added up by exclusive or, each shifted against the one before, have the sum of
    their crc32s, shifted alike. So one crc32 stands for a block of rows. As polynomials the rows are multiplied by
    different powers, so that equal faults in several rows do not cancel out; wrong rows pass with probability 2**-32.
    """
    row_bytes = math.prod(pixels.shape[1:])
    if row_bytes > LARGEST_ROW or not len(pixels):
        return np.array_equal(digests(pixels), expected)
    rows, width = np.ascontiguousarray(pixels).reshape(-1, row_bytes), _width(row_bytes)
    # row i of `overlay` holds what row i of `apart` holds, SHIFT * i bytes further to the right, and zeros
    scratch = np.zeros(BLOCK * (width + SHIFT), dtype=np.uint8)
    apart = scratch.reshape(BLOCK, width + SHIFT)[:, :row_bytes]
    overlay = scratch[: BLOCK * width].reshape(BLOCK, width).view(np.uint64)
    found = []
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        apart[: len(block)] = block
        found.append(zlib.crc32(np.bitwise_xor.reduce(overlay[: len(block)], axis=0)))
    return found == _overlaid(expected, row_bytes)


def _width(row_bytes: int) -> int:
    """Bytes of an overlay: the last row fits too, in whole 64-bit words."""
    return -(-(row_bytes + BLOCK * SHIFT) // 8) * 8


def _overlaid(parts: Digests, row_bytes: int) -> list[int]:
    """The crc32 of each block of rows that lie over each other, from the crc32 of each row."""
    linear = parts ^ np.uint32(zlib.crc32(bytes(row_bytes)))
    bits = np.unpackbits(linear.astype("<u4").view(np.uint8), bitorder="little")
    # a product takes an eighth of the time that `where=` does
    shifted = np.resize(_words_of_bits(row_bytes), bits.shape) * bits
    sums = np.bitwise_xor.reduceat(shifted, np.arange(0, len(bits), BLOCK * BITS))
    blocks: list[int] = (sums ^ np.uint32(zlib.crc32(bytes(_width(row_bytes))))).tolist()
    return blocks


@lru_cache(maxsize=8)
def _words_of_bits(row_bytes: int) -> NDArray[np.uint32]:
    """What each bit of each row's crc32 becomes after the zeros that follow the row in the overlay: [BLOCK, 32]."""
    behind = [bytes(_width(row_bytes) - row_bytes - row * SHIFT) for row in range(BLOCK)]
    words = [[zlib.crc32(zeros, 1 << bit) ^ zlib.crc32(zeros, 0) for bit in range(BITS)] for zeros in behind]
    return np.array(words, dtype=np.uint32)
