"""Witnesses: a few rows of the train part whose pictures are kept whole, so that a difference can be measured."""

import io

import numpy as np
from numpy.typing import NDArray

from cache_kd.store.manifest import Manifest

FOLDER = "witness"

# Enough rows in the first view to see a drift that touches one row in ten (97 %), and a pair in each of the next, whose
# recipe may be of another kind. At 224x224x3 that is 4.8 MB, then 0.3 MB a view. What is kept of a view
# depends on its number alone, so a store that grows holds what it would have held at once.
IN_FIRST_VIEW = 32
IN_OTHER_VIEWS = 2
WITNESSED_VIEWS = 16


def witness_views(manifest: Manifest) -> range:
    """The views of the train part that have witnesses."""
    return range(min(manifest.parts["train"].views, WITNESSED_VIEWS))


def witness_rows(manifest: Manifest, view: int) -> int:
    """How many samples of a witnessed `view` are kept: all of them where there are few."""
    return min(manifest.parts["train"].samples, IN_OTHER_VIEWS if view else IN_FIRST_VIEW)


def witness_file(view: int) -> str:
    """Where those of one view stand, below the store; the file says its own shape."""
    return f"{FOLDER}/{view}.npy"


def encode(rows: NDArray[np.uint8]) -> bytes:
    """The content of such a file."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(rows), allow_pickle=False)
    return content.getvalue()


def decode(content: bytes) -> NDArray[np.uint8]:
    """The rows in it."""
    rows: NDArray[np.uint8] = np.load(io.BytesIO(content), allow_pickle=False)
    return rows
