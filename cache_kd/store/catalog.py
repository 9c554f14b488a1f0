"""The stores below one folder: what a team shares."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from cache_kd.config import Config, canonical_json
from cache_kd.errors import KdCacheError, StoreError
from cache_kd.store.folder import is_begun
from cache_kd.store.manifest import CREATING, FORMAT, ROOT_FILE, Manifest, differences, read_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.record import FOLDER, Record, unfinished


class Entry(Config):
    """One store of a catalog."""

    path: Path | str  # the URL of one in a bucket
    manifest: Manifest | None  # None where it cannot be read
    complete: float  # share of the shards that are written, 0 to 1
    bytes: int  # on disk, everything in
    fault: str | None  # why the store cannot be used, in one sentence


def stores(root: Path) -> list[Entry]:
    """The stores at or below `root`, by path; a damaged one is listed with its fault.

    Raises:
        StoreError: `root` is not a folder.
    """
    return [_entry(path) for path in store_folders(root)]


def holds(path: Path, asked: Manifest) -> bool:
    """Whether the store at `path` is finished and has every number that `asked` describes; False where there is none.

    Of all files only the sizes are looked at.
    """
    return _rank(path, asked) == _HIT


def place_for(root: Path, asked: Manifest) -> Path:
    """The store at or below `root` of what `asked` describes, else where one is to be: `root`/<teacher>-<store_id>.

    Stores are compared by what decides their numbers, so one of an earlier release, whose id was made otherwise, is
    found too. One that has all views comes before one that must grow, and that before one whose dump was interrupted.

    Raises:
        StoreError: `root` is a store of something else, or a file.
    """
    ranked = [(_rank(path, asked), path) for path in store_folders(root)] if root.exists() else []
    found = max(ranked, key=lambda entry: entry[0], default=None)
    if found is not None and found[0] > _OTHER:
        return found[1]
    if (root / ROOT_FILE).exists():
        raise StoreError(f"{root} is a store of something else. --catalog takes the folder that holds stores.")
    return root / store_name(asked)


def store_name(manifest: Manifest) -> str:
    """What a store is called in a catalog: <teacher>-<store_id>."""
    return f"{re.sub(r'[^A-Za-z0-9_.]+', '-', manifest.teacher.name)}-{manifest.store_id}"


class Filter(Config):
    """Which stores of a catalog are wanted; words are looked for inside names, whatever their case."""

    teacher: str | None = None
    data: str | None = None
    recipe: str | None = None  # in its JSON, so that the parts of a recipe made of recipes are found
    codec: str | None = None
    complete: bool | None = None

    def admits(self, entry: Entry) -> bool:
        """Whether `entry` is wanted; one that cannot be read is, where nothing is asked of it."""
        if self.complete is not None and self.complete != (entry.complete == 1):
            return False
        words = self.model_dump(exclude={"complete"}, exclude_none=True)
        if entry.manifest is None:
            return not words
        manifest = entry.manifest
        stored = {
            "teacher": manifest.teacher.name,
            "data": str(manifest.source.spec.get("data")),
            "recipe": canonical_json(manifest.recipe),
            "codec": str(manifest.codec["name"]),
        }
        return all(word.lower() in stored[field].lower() for field, word in words.items())


def store_folders(root: Path) -> Iterator[Path]:
    """The folders at or below `root` that are stores, were, or began to be; nothing below a store is looked at.

    Raises:
        StoreError: `root` is not a folder.
    """
    if not root.is_dir():
        raise StoreError(f"{root} is not a folder; pass the one that holds your stores.")
    for folder, below, names in os.walk(root):
        path = Path(folder)
        ours = (ROOT_FILE in names and _is_ours(path)) or (CREATING in names and is_begun(path))
        if ours or (FOLDER in below and has_lost_manifest(path)):
            below.clear()
            yield path
        below.sort()


def has_lost_manifest(path: Path) -> bool:
    """Whether the folder at `path` has the completion records of a store, and no file that says which one."""
    if (path / ROOT_FILE).exists():
        return False
    return any(_is_record(file) for file in (path / FOLDER).glob("*.json"))


def unusable(root: Path) -> list[Entry]:
    """The stores at or below `root` that are damaged beyond reading; not dumps that only began.

    Raises:
        StoreError: `root` is not a folder.
    """
    return [entry for entry in stores(root) if entry.fault is not None and not is_begun(Path(entry.path))]


def bytes_on_disk(path: Path) -> int:
    """The size of every file below `path`."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # a dump at work renames and deletes, and some of it may be closed to us
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


_OTHER, _UNFINISHED, _GROWS, _HIT = range(4)  # how much a store spares a dump


def _rank(path: Path, asked: Manifest) -> int:
    try:
        stored = read_manifest(path)
        if differences(stored, asked):
            return _OTHER
        if unfinished(path, stored):
            return _UNFINISHED
    except KdCacheError:
        return _OTHER
    return _HIT if stored == stored.with_views_of(asked) else _GROWS


def _is_ours(path: Path) -> bool:
    """Whether the manifest says so or, where damage took the words from it, the completion records do."""
    try:
        return FORMAT.encode() in (path / ROOT_FILE).read_bytes() or (path / FOLDER).is_dir()
    except OSError:
        return True  # opening it will say why it cannot be read


def _is_record(file: Path) -> bool:
    try:
        Record.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return False
    return True


def _entry(path: Path) -> Entry:
    size = bytes_on_disk(path)
    if has_lost_manifest(path):
        fault = (
            f"{path / ROOT_FILE} is lost, and without it nobody knows whose the rows are. Restore it from a copy, or "
            "delete the folder yourself."
        )
        return Entry(path=path, manifest=None, complete=0, bytes=size, fault=fault)
    try:
        reader = Reader.open(path, partial=True)
        complete = reader.complete
    except KdCacheError as fault:
        return Entry(path=path, manifest=None, complete=0, bytes=size, fault=str(fault))
    return Entry(path=path, manifest=reader.manifest, complete=complete, bytes=size, fault=None)
