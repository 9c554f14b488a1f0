"""Files that are written whole or not at all, listed, and named so that it means the same from everywhere."""

import os
from pathlib import Path

BEFORE, AFTER = ".", ".tmp"  # of a file's name while it is written


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never a part."""
    temporary = path.with_name(f"{BEFORE}{path.name}{AFTER}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def destination_of(file: str) -> str:
    """The file that this one was to become, or is.

    >>> destination_of("logits/.zarr.json.tmp"), destination_of("logits/zarr.json")
    ('logits/zarr.json', 'logits/zarr.json')
    """
    folder, slash, name = file.rpartition("/")
    if name.startswith(BEFORE) and name.endswith(AFTER):
        name = name[len(BEFORE) : -len(AFTER)]
    return f"{folder}{slash}{name}"


def files_below(path: Path) -> set[str]:
    """Every file below `path`; what stands behind a link to a folder is not looked at, the link is a file."""
    present = set()
    for folder, below, names in os.walk(path):
        links = [name for name in below if (Path(folder) / name).is_symlink()]
        present |= {(Path(folder) / name).relative_to(path).as_posix() for name in [*names, *links]}
    return present


def lasting_place(name: str | None) -> str | None:
    """The absolute path of what is there by this name, so that it means the same from everywhere; else the name."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name


def make_lasting_folder(path: Path) -> None:
    """Make `path` and whatever is lacking on the way to it; all these names survive a loss of power."""
    lacking = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in lacking:
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
