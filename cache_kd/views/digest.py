"""Short proofs of pixels: one crc32 per picture."""

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cache_kd.types import Digests, Pixels

BITS = 32
FEW = 64  # rows that gain nothing from being looked at together


def digests(pixels: Pixels) -> Digests:
    """The crc32 of each row's bytes; about 0.6 us for 32x32x3, 22 us for 224x224x3."""
    whole = np.ascontiguousarray(pixels)
    return np.fromiter((zlib.crc32(picture) for picture in whole), dtype=np.uint32, count=len(whole))


def all_match(pixels: Pixels, expected: Digests) -> bool:
    """Whether the rows have the `expected` digests, in their order; a quarter faster than computing them at 32x32.

    One crc32 of all rows is compared with the one that the expected ones add up to; over so many bytes zlib lets
    other threads run. Wrong rows pass with probability 2**-32 together, not each.
    """
    if len(pixels) < FEW:
        return np.array_equal(digests(pixels), expected)
    return zlib.crc32(np.ascontiguousarray(pixels).data) == _joined(expected, pixels[0].size)


def _joined(parts: Digests, row_bytes: int) -> int:
    """The crc32 of rows one after the other, from the crc32 of each.

    A crc32 is linear in its bits: every bit of a row's adds its own word to the whole, by where the row stands.
    """
    bits = np.unpackbits(parts.astype("<u4").view(np.uint8), bitorder="little")
    # a product takes an eighth of the time that `where=` does
    return int(np.bitwise_xor.reduce(_words_of_bits(len(parts), row_bytes).ravel() * bits))


@lru_cache(maxsize=8)
def _words_of_bits(rows: int, row_bytes: int) -> NDArray[np.uint32]:
    """What each bit of each row's crc32 becomes in the crc32 of all: [rows, 32]. 512 rows take 5 ms."""
    blank = bytes(row_bytes)
    units = np.uint32(1) << np.arange(BITS, dtype=np.uint32)
    # what a bit becomes when one more row follows
    step = np.array([zlib.crc32(blank, unit) ^ zlib.crc32(blank) for unit in units.tolist()], dtype=np.uint32)
    words = np.empty((rows, BITS), dtype=np.uint32)
    words[-1] = units
    for row in range(rows - 1, 0, -1):
        is_set = (words[row][:, None] & units) != 0
        words[row - 1] = np.bitwise_xor.reduce(np.where(is_set, step, np.uint32(0)), axis=1)
    return words
