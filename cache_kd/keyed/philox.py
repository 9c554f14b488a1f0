"""Randomness as a function of position: Philox4x32-10, keyed by seed and purpose, counted by sample and view."""

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cache_kd.types import Samples, SampleTensor, Words, WordTensor

LOW = 0xFFFFFFFF  # the low 32 bits
WORDS_PER_BLOCK = 4

# multipliers and Weyl steps of Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def words(seed: int, purpose: str, samples: Samples, view: int, count: int) -> Words:
    """`count` random 32-bit words for each of `samples`; a row depends on nothing but its own sample.

    A larger `count` begins with the words of a smaller one. About 0.2 us per sample for a batch of 512.

    Args:
        seed: any integer.
        purpose: what the words are for; other purposes give unrelated words.
        samples: row numbers in a source, >= 0.
        view: 0 <= view < 2**32.
        count: words per sample, > 0.
    """
    blocks = np.arange(-(-count // WORDS_PER_BLOCK), dtype=np.uint64)
    rows = samples.astype(np.uint64)[:, None]
    shape = (len(samples), len(blocks))
    counter = (rows & LOW, rows >> 32, np.uint64(view), blocks)
    block_words = philox4x32(tuple(np.broadcast_to(part, shape) for part in counter), _key(seed, purpose))
    whole = np.stack(block_words, axis=-1).astype(np.uint32)
    return whole.reshape(len(samples), WORDS_PER_BLOCK * len(blocks))[:, :count]


def word_tensor(seed: int, purpose: str, samples: SampleTensor, view: int, count: int) -> WordTensor:
    """The very words of `words`, computed by torch on the device of `samples`, as int64 0 <= word < 2**32."""
    blocks = torch.arange(-(-count // WORDS_PER_BLOCK), device=samples.device)
    rows = samples[:, None].expand(-1, len(blocks))
    counter = (rows & LOW, rows >> 32, torch.full_like(rows, view), blocks.expand_as(rows))
    return torch.stack(philox4x32(counter, _key(seed, purpose)), -1).flatten(1)[:, :count]


def below(random: NDArray[np.uint32], limit: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers 0 <= i < `limit`, one per word; uneven by at most `limit` / 2**32.

    >>> below(np.array([0, 2**31, 2**32 - 1], dtype=np.uint32), 9)
    array([0, 4, 8])
    """
    return (random.astype(np.uint64) * np.asarray(limit, dtype=np.uint64) >> 32).astype(np.int64)


def unit(random: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Exact multiples of 2**-32, 0 <= u < 1, one per word."""
    return random.astype(np.float64) * 2.0**-32


def philox4x32(counter: tuple[Any, ...], key: tuple[int, int]) -> tuple[Any, ...]:
    """The bijection itself, on four 32-bit counter words held in uint64 arrays or int64 tensors of one shape.

    A product of two 32-bit numbers fills all 64 bits: in int64 it wraps to the same bits, and masking after the
    shift takes away the sign.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (product1 >> 32) & LOW ^ c1 ^ k0, product1 & LOW
        c2, c3 = (product0 >> 32) & LOW ^ c3 ^ k1, product0 & LOW
        k0, k1 = k0 + KEY_STEPS[0] & LOW, k1 + KEY_STEPS[1] & LOW
    return c0, c1, c2, c3


def _key(seed: int, purpose: str) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
