"""Same data or other data: a hash over every image, every label and their order."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cache_kd.threads import usable_cores
from cache_kd.types import LabelArray, Pixels, Samples

# images per hash; part of the definition, as a fingerprint is the hash of these hashes
BLOCK = 1024

# bytes of images that a thread holds at a time; no part of the definition
SLICE = 16 * 2**20

# hashing and reading release the GIL; one thread hashes 0.8 GB/s
THREADS = min(8, usable_cores())


def fingerprint_of_images(images: Callable[[Samples], Pixels], shape: tuple[int, ...], labels: LabelArray) -> str:
    """Over uint8 images of one size; costs one pass over all bytes, of which each thread holds 16 MiB or one image.

    Args:
        images: gives the images of some samples.
        shape: [N, height, width, channels].
        labels: of all N.
    """
    at_once = max(1, SLICE // math.prod(shape[1:]))

    def hash_block(block: range) -> bytes:
        whole = hashlib.blake2b(digest_size=32)
        for start in block[::at_once]:
            samples = np.arange(start, min(start + at_once, block.stop))
            whole.update(np.ascontiguousarray(images(samples)).data)
        return whole.digest()

    blocks = [range(start, min(start + BLOCK, shape[0])) for start in range(0, shape[0], BLOCK)]
    with ThreadPoolExecutor(THREADS) as pool:
        hashes = pool.map(hash_block, blocks)
        return _together("images/1", list(shape), labels, b"".join(hashes))


def fingerprint_of_files(top: Path, files: Sequence[str], labels: LabelArray, known_as: Sequence[str]) -> str:
    """Over the bytes, names and labels of image files; costs reading all of them.

    Args:
        top: the folder of the tree; it is no part of the fingerprint, so that a moved tree is the same data.
        files: one per sample, in the order of the samples, relative to `top`, with forward slashes.
        labels: one per file.
        known_as: the names that count, one per file; `files` themselves where their places are part of the data.

    Raises:
        OSError: a file cannot be read, with its name.
    """
    # by blocks, because a pool keeps about 1 kB for each call that waits
    blocks = [files[start : start + BLOCK] for start in range(0, len(files), BLOCK)]
    with ThreadPoolExecutor(THREADS) as pool:
        hashes = pool.map(lambda block: b"".join(_hash(_content(top / file)) for file in block), blocks)
        return _together("files/1", list(known_as), labels, b"".join(hashes))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        # `open` says the name, `read` does not
        raise OSError(fault.errno, fault.strerror, str(file)) from None


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=32).digest()


def _together(kind: str, layout: list[int] | list[str], labels: LabelArray, hashes: bytes) -> str:
    """The kind and layout come first, so that equal bytes in another shape are other data."""
    whole = hashlib.blake2b(json.dumps([kind, layout]).encode(), digest_size=16)
    whole.update(labels.astype("<i8").tobytes())
    whole.update(hashes)
    return whole.hexdigest()
