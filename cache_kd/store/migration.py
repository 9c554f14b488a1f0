"""Manifests of earlier releases in the words of this one; their files stay as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cache_kd.errors import StoreError

VERSION = 3
OLDEST = 2


def migrated(content: Mapping[str, Any], origin: Path | str) -> dict[str, Any]:
    """The manifest `content`, which was found in `origin`, as version 3 says it.

    Version 2 had its rows in the order of the samples.

    Raises:
        StoreError: a newer release wrote it, or one so old that it lacks what this one needs.
    """
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise StoreError(
            f"{origin} is a store of version {version}; this release reads versions {OLDEST} to {VERSION}. "
            "Upgrade with: pip install --upgrade cache_kd."
        )
    if isinstance(version, int) and version < OLDEST:
        raise StoreError(
            f"{origin} is a store of version {version}, made before stores kept pixels to prove their views by. "
            "Dump again to another --store."
        )
    return _from_version_2(content, origin) if version == OLDEST else dict(content)


def identity_of_version_2(identity: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The identity that version 2 made its ids of: the cut of the rows was in it.

    Args:
        identity: of version 3.
        parts: with all their fields.
    """
    cut = ("samples", "fingerprint", "chunk_rows", "shard_rows")
    return {**identity, "parts": {name: {field: part[field] for field in cut} for name, part in parts.items()}}


def _from_version_2(content: Mapping[str, Any], origin: Path | str) -> dict[str, Any]:
    if _mixes_within(content.get("recipe")):
        raise StoreError(
            f"{origin} is a store of version 2 whose views are mixed within runs of samples; since then runs are of "
            "rows in a keyed order, and its partners would be others. Dump again to another --store."
        )
    parts = content.get("parts")
    ordered = {
        name: {**part, "row_order": "by_sample"} if isinstance(part, Mapping) else part
        for name, part in (parts if isinstance(parts, Mapping) else {}).items()
    }
    return {**content, "version": VERSION, "parts": ordered}


def _mixes_within(recipe: Any) -> bool:
    if isinstance(recipe, Mapping):
        return bool(recipe.get("within")) or any(map(_mixes_within, recipe.values()))
    return isinstance(recipe, list) and any(map(_mixes_within, recipe))
