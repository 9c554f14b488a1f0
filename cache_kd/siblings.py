"""Stores of several teachers over the same views: what makes them that, and how they are opened as one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cache_kd.config import canonical_json
from cache_kd.errors import ConfigError, StoreMismatch
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
    parts = first.manifest.parts.keys() | reader.manifest.parts.keys()
    demand_same_views(first.reader, reader, parts)
    demand_same_pixels(first.reader, reader, parts)
    return OpenStore(reader, first.source, first.recipe, reading)


def demand_other_teachers(readers: Sequence[Reader]) -> None:
    """See that no two of several stores are of one teacher: the same weights behind the same normalisation.

    Raises:
        ConfigError: which two.
    """
    seen: dict[tuple[str, str], Reader] = {}
    for reader in readers:
        teacher = reader.manifest.teacher
        twin = seen.setdefault((teacher.fingerprint, canonical_json(teacher.normalise)), reader)
        if twin is not reader:
            raise ConfigError(
                f"{reader.path} is of the same teacher as {twin.path} ({teacher.name}, weights {teacher.fingerprint}): "
                "together they say what one of them says. Name each teacher once; weights give one more to say "
                "(merge --weights 2,1; train --set teachers.weights=[2,1])."
            )


def demand_same_views(first: Reader, other: Reader, parts: Iterable[str]) -> None:
    """See that two stores hold the same views of `parts`, as their manifests say.

    Raises:
        StoreMismatch: what differs.
    """
    ours, theirs = _views_of(first.manifest, parts), _views_of(other.manifest, parts)
    for what in ours:
        if theirs[what] != ours[what]:
            raise StoreMismatch(
                f"{other.path} and {first.path} do not hold the same views: {what} is {theirs[what]} in the one, "
                f"{ours[what]} in the other. Dump the second teacher with the data, recipe, seed and views "
                "of the first."
            )


def demand_same_pixels(first: Reader, other: Reader, parts: Iterable[str]) -> None:
    """See that the digests of every row of `parts` are equal in two stores, in all views that both have.

    Raises:
        StoreDamaged: a file is not what was written.
        StoreMismatch: in how many rows of a view the pixels differ, and the first.
    """
    for part in sorted(parts):
        for view in range(min(reader.manifest.parts[part].views for reader in (first, other))):
            differing = np.flatnonzero(other.digests(part, view) != first.digests(part, view))
            if len(differing):
                raise StoreMismatch(
                    f"{other.path} and {first.path}: the pixels of {len(differing)} rows differ, first sample "
                    f"{differing[0]} of {part} view {view}. Dump one of them again, on the machine of the other."
                )


def _views_of(manifest: Manifest, parts: Iterable[str]) -> dict[str, Any]:
    """What decides the pixels, in the words of an error."""
    decides: dict[str, Any] = {
        "the number of classes": manifest.classes,
        "the recipe": dict(manifest.recipe),
        "the seed": manifest.seed,
    }
    for part in sorted(parts):
        stored = manifest.parts.get(part)
        decides[f"the {part} fingerprint"] = stored and stored.fingerprint
        decides[f"the number of {part} views"] = stored and stored.views
    return decides
