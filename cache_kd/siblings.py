"""Stores of several teachers over the same views, opened as one."""

from pathlib import Path
from typing import Any

import numpy as np

from cache_kd.errors import StoreMismatch
from cache_kd.opened import OpenStore
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader


def open_sibling(path: Path, first: OpenStore) -> OpenStore:
    """The store at `path`, of another teacher over the very views of `first`.

    Raises:
        StoreError: not a store, unfinished or damaged.
        StoreMismatch: its views are others: what differs, and the pixels themselves by their digests.
    """
    reading = Reading(path)
    reader = Reader.open(path)
    ours, theirs = _views_of(first.manifest), _views_of(reader.manifest)
    for what in ours | theirs:
        if theirs.get(what) != ours.get(what):
            raise StoreMismatch(
                f"{path} and {first.reader.path} do not hold the same views: {what} is {theirs.get(what)} in the one, "
                f"{ours.get(what)} in the other. Dump the second teacher with the data, recipe, seed and views "
                "of the first."
            )
    for part in first.manifest.parts:
        for view in range(first.manifest.parts[part].views):
            differing = np.flatnonzero(reader.digests(part, view) != first.reader.digests(part, view))
            if len(differing):
                raise StoreMismatch(
                    f"{path} and {first.reader.path}: the pixels of {len(differing)} rows differ, first sample "
                    f"{differing[0]} of {part} view {view}. Dump one of them again, on the machine of the other."
                )
    return OpenStore(reader, first.source, first.recipe, reading)


def _views_of(manifest: Manifest) -> dict[str, Any]:
    """What decides the pixels, in the words of an error."""
    return {
        "the number of classes": manifest.classes,
        "the recipe": dict(manifest.recipe),
        "the seed": manifest.seed,
        **{f"the {part} fingerprint": stored.fingerprint for part, stored in manifest.parts.items()},
        **{f"the number of {part} views": stored.views for part, stored in manifest.parts.items()},
    }
