"""The folder of a store before and between its rows: begun, found, added to, cleared of what a kill left behind."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cache_kd.config import parse_json
from cache_kd.errors import StoreError, StoreMismatch
from cache_kd.files import destination_of, files_below, make_lasting_folder, sync_folder, write_whole
from cache_kd.store.arrays import METADATA_FILE, metadata_fault, metadata_files
from cache_kd.store.damage import own_files
from cache_kd.store.manifest import CREATING, LOCK, ROOT_FILE, Manifest, differences, read_manifest, root_file
from cache_kd.store.record import FOLDER, Piece, unfinished
from cache_kd.store.witness import FOLDER as WITNESS_FOLDER

# the folders of a store; an abandoned creation may have left any of them, with metadata but no rows in it
OURS = ("logits", "view_digest", "labels", "samples", "exact", "knobs", "test", WITNESS_FOLDER, FOLDER)


def is_store(path: Path) -> bool:
    """Whether a manifest stands at `path`."""
    return (path / ROOT_FILE).exists()


def is_begun(path: Path) -> bool:
    """Whether a dump began at `path` and has not come as far as its manifest."""
    if is_store(path):
        return False
    try:
        mark = parse_json((path / CREATING).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and "store_id" in mark


def left_by_a_beginning(file: str) -> bool:
    """Whether a dump wrote `file`, below a folder where it only began: until the manifest stands there are no rows."""
    final = destination_of(file)
    top, _, below = final.partition("/")
    in_ours = top in OURS and Path(below).name == METADATA_FILE
    return in_ours or final in (CREATING, LOCK, ROOT_FILE)


def is_whole(path: Path, manifest: Manifest) -> bool:
    """Whether every piece and every metadata file is there, by their sizes."""
    return not unfinished(path, manifest) and not any(
        metadata_fault(path, file, content) for file, content in metadata_files(manifest).items()
    )


def fitting(path: Path, asked: Manifest) -> Manifest:
    """The manifest at `path`, if it is of the same numbers as `asked`.

    Raises:
        StoreMismatch: it is not; both sides of every difference are named.
    """
    stored = read_manifest(path)
    found = differences(stored, asked)
    if found:
        lines = [f"  {field}: stored {_shown(before)}, asked for {_shown(after)}" for field, before, after in found]
        raise StoreMismatch(
            f"{path} holds store {stored.store_id}; {asked.store_id} was asked for. They differ in\n"
            + "\n".join(lines)
            + "\nPass another --store, or ask for what is stored."
        )
    return stored


def claimed(path: Path, asked: Manifest) -> Manifest | None:
    """The manifest at `path`, if it is of the same numbers as `asked`; None where there is none, and then a folder.

    Raises:
        StoreMismatch: see `fitting`.
        StoreError: see `refuse_foreign`.
    """
    if is_store(path):
        return fitting(path, asked)
    refuse_foreign(path)
    make_lasting_folder(path)
    return None


def refuse_foreign(path: Path) -> None:
    """Refuse a path that holds anything which an abandoned creation of ours does not explain.

    Raises:
        StoreError: it does.
    """
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file; a store is a folder. Pass another --store.")
    if not path.exists():
        return
    others = sorted(entry.name for entry in path.iterdir() if destination_of(entry.name) not in (LOCK, CREATING))
    # asked afterwards: another dump may have begun meanwhile, and its mark stands until its manifest does
    if is_begun(path):
        others = sorted(file for file in files_below(path) if not left_by_a_beginning(file))
    if others and not is_store(path):
        raise StoreError(
            f"{path} is not a store and not empty (it has {', '.join(others[:3])}{', …' if others[3:] else ''}); "
            "nothing there was touched. Pass another --store, or move what is yours elsewhere."
        )


def create(path: Path, manifest: Manifest) -> Manifest:
    """Begin a store: arrays first, the manifest last; until it stands, a mark says that no array here has rows.

    What an earlier beginning left, of another store perhaps, is deleted.

    Raises:
        StoreError: see `refuse_foreign`.
    """
    refuse_foreign(path)
    write_whole(path / CREATING, json.dumps({"store_id": manifest.store_id}).encode())
    for file in files_below(path) - {CREATING, LOCK}:
        if left_by_a_beginning(file):
            (path / file).unlink()
    prune(path)
    (path / FOLDER).mkdir(exist_ok=True)
    sync_folder(path)
    write_metadata(path, manifest)
    write_whole(path / ROOT_FILE, root_file(manifest))
    return manifest


def grow(path: Path, stored: Manifest, asked: Manifest) -> Manifest:
    """Make room for the views of `asked`; the manifest that names them, which is given back, stands when they do.

    Until then the store is the one that it was: its views are read, hit and kept while others are added.
    """
    grown = stored.with_views_of(asked)
    write_metadata(path, grown)
    (path / FOLDER).mkdir(exist_ok=True)
    return grown


def write_metadata(path: Path, manifest: Manifest) -> None:
    """Write every metadata file that does not say what it has to."""
    for file, content in metadata_files(manifest).items():
        if metadata_fault(path, file, content):
            make_folders(path, Path(file).parent)
            write_whole(path / file, json.dumps(content, indent=2).encode())


def make_folders(path: Path, folder: Path) -> None:
    """Make `folder`, below the store at `path`, and all on the way to it; they are on the disk."""
    for below in [*reversed(folder.parents), folder]:
        (path / below).mkdir(exist_ok=True)
        sync_folder((path / below).parent)


def clear_temporaries(path: Path, manifest: Manifest) -> None:
    """Delete the mark of creation, and what a kill left of a file of the store that was to be renamed."""
    (path / CREATING).unlink(missing_ok=True)
    own = own_files(path, manifest)
    for file in files_below(path):
        if destination_of(file) != file and destination_of(file) in own:
            (path / file).unlink()


def prune(path: Path) -> None:
    """Remove the folders of a store in which nothing is left."""
    for top in OURS:
        if (path / top).is_symlink():
            continue
        for folder, _, _ in os.walk(path / top, topdown=False):
            if not Path(folder).is_symlink() and not os.listdir(folder):
                os.rmdir(folder)


def discard(path: Path, suspects: Iterable[Piece]) -> None:
    """Delete records first, then files: a file of ours is only ever made anew."""
    for piece in suspects:
        (path / piece.record).unlink(missing_ok=True)
        for file in piece.files:
            (path / file).unlink(missing_ok=True)


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
