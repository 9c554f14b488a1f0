"""The copies on this machine of stores in buckets: where each stands, and brought up to date whenever it is used."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from cache_kd.bucket.pull import Copied, OtherBytes, copy_here
from cache_kd.bucket.remote import RemoteStore, open_remote
from cache_kd.cache_folder import cache_folder
from cache_kd.config import parse_json
from cache_kd.errors import StoreIncomplete
from cache_kd.files import write_whole
from cache_kd.progress import Progress, Silent
from cache_kd.store.disk import mending
from cache_kd.store.manifest import read_manifest
from cache_kd.store.removal import remove


def local_store(place: Path | str, progress: Progress | None = None) -> Path:
    """A folder as it is; of a store in a bucket its copy on this machine, which then holds what the bucket holds.

    Raises:
        StoreIncomplete: there is no finished store, or this machine has views that were not uploaded yet.
        StoreError: it cannot be read there or written here.
    """
    if isinstance(place, Path):
        return place
    remote = open_remote(place)
    path = update_copy(remote, progress or Silent())
    here, there = read_manifest(path).parts["train"].views, remote.manifest.parts["train"].views
    if here != there:
        raise StoreIncomplete(
            f"{remote.bucket.url} has {there} views, its copy in {path} has {here}: an upload from here did not "
            f"finish. Finish it: kdcache push {path} {remote.bucket.url}; or forget these views: kdcache rm {path}"
        )
    return path


def update_copy(remote: RemoteStore, progress: Progress) -> Path:
    """Fetch what this machine's copy lacks; where it has other bytes it is deleted first.

    Raises:
        StoreBusy: it has other bytes, and a process reads it.
        StoreError: see `pull`.
    """
    path = copy_folder(remote.bucket.url, remote.manifest.store_id)
    with mending(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        copied = copy_here(remote, path, progress, e_tags=_remembered(path))
    except OtherBytes:
        progress.say(f"{remote.bucket.url} was written anew; its copy is fetched again.")
        remove(path)
        copied = copy_here(remote, path, progress)
    if not copied.transfer.files:
        progress.say(f"{remote.bucket.url} is on this machine: {path}")
    _remember(path, copied)
    return path


def copy_folder(url: str, store_id: str) -> Path:
    """Where this machine keeps the store of this id at `url`: another store there has another folder."""
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", url.rpartition("/")[2])
    key = hashlib.sha256(f"{url}\n{store_id}".encode()).hexdigest()[:16]
    return cache_folder() / "stores" / f"{name}-{key}"


def _remembered(path: Path) -> dict[str, str]:
    """What the last comparison found; nothing where that cannot be read."""
    try:
        known: Any = parse_json(_notes(path).read_bytes())["e_tags"]
        return {str(name): str(e_tag) for name, e_tag in known.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _remember(path: Path, copied: Copied) -> None:
    with mending(path):
        write_whole(_notes(path), json.dumps({"url": copied.transfer.url, "e_tags": copied.e_tags}).encode())


def _notes(path: Path) -> Path:
    """Beside the copy, for whatever is in its folder is the store's."""
    return path.with_name(f"{path.name}.json")
