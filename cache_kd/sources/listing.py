"""Which image files a split has, class by class: listed once, and remembered while the folders are unchanged."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cache_kd.errors import SourceError
from cache_kd.sources.remembered import remembered

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files of one split.

    Attributes:
        top: the folder that the files are relative to.
        files: of each class, in their order, with forward slashes.
        class_names: one per class, for people.
        class_ids: one per class where the data set names its classes by ids. A file is then the same data wherever it
            lies, as long as its id and its own name are the same: `val/images/7.JPEG` in one layout of a data set and
            `val/n01443537/7.JPEG` in another. None where the path decides.
    """

    top: Path
    files: tuple[list[str], ...]
    class_names: tuple[str, ...]
    class_ids: tuple[str, ...] | None = None


def class_folders(top: Path) -> tuple[str, ...]:
    """The names of the folders in `top`, sorted; hidden ones are none.

    Raises:
        SourceError: it cannot be listed, has none, or a name is no text.
    """
    try:
        names = tuple(sorted(entry.name for entry in os.scandir(top) if entry.is_dir() and not _is_hidden(entry.name)))
    except OSError as fault:
        _refuse_listing(fault)
    _check_names(top, names)
    if not names:
        raise SourceError(
            f"{top} has no folders; expected one folder of images per class, such as {top / 'cat' / '1.jpg'}."
        )
    return names


def image_files(top: Path, folders: Sequence[str]) -> tuple[list[str], ...]:
    """The images below each of `folders`, sorted, relative to `top`; an absent folder has none, hidden ones are none.

    Where no folder holds another one, the answer is remembered under the times of the folders. 1.28 million files in
    1,000 folders are then there in 0.6 s instead of 4, and on a network drive nothing is listed again.

    Args:
        top: an absolute path.
        folders: relative to `top`, with forward slashes; the empty name is `top` itself.

    Raises:
        SourceError: a folder cannot be listed or lies within itself, or a name is no text.
    """
    places = [top / folder for folder in folders]
    # 2: which files count
    flat: list[list[str]] | None = json.loads(remembered(places, "files of flat folders/2", lambda: _flat(places)))
    if flat is None:
        return tuple(_walked(top, folder) for folder in folders)
    prefixes = [f"{folder}/" if folder else "" for folder in folders]
    return tuple([prefix + name for name in names] for prefix, names in zip(prefixes, flat, strict=True))


def is_text(name: str) -> bool:
    """Whether a name of the file system is UTF-8, so that JSON can hold it."""
    return name.encode(errors="replace").decode() == name


def _flat(places: Sequence[Path]) -> str:
    """The names of the images in each place as JSON; null where a place holds folders."""
    found = []
    for place in places:
        names = []
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if _is_hidden(entry.name):
                        continue
                    if entry.is_dir():
                        return "null"
                    if _is_image(entry.name):
                        names.append(entry.name)
        except FileNotFoundError:
            names = []
        except OSError as fault:
            _refuse_listing(fault)
        _check_names(place, names)
        found.append(sorted(names))
    return json.dumps(found)


def _walked(top: Path, folder: str) -> list[str]:
    found: list[str] = []
    chains: dict[str, tuple[tuple[int, int], ...]] = {}  # of each folder walked through: the folders down to it
    if (top / folder).is_dir():
        for parent, folders, entries in os.walk(top / folder, followlinks=True, onerror=_refuse_listing):
            chains[parent] = _prolonged(chains.get(os.path.dirname(parent), ()), parent)
            folders[:] = [name for name in folders if not _is_hidden(name)]
            below = "" if Path(parent) == top else f"{os.path.relpath(parent, top).replace(os.sep, '/')}/"
            found += [below + entry for entry in entries if _is_image(entry) and not _is_hidden(entry)]
    _check_names(top, found)
    return sorted(found)


def _prolonged(chain: tuple[tuple[int, int], ...], folder: str) -> tuple[tuple[int, int], ...]:
    """`chain` with `folder`; a link to a folder above it would give the same images again and again."""
    try:
        stat = os.stat(folder)
    except OSError as fault:
        _refuse_listing(fault)
    if (stat.st_dev, stat.st_ino) in chain:
        raise SourceError(f"{folder} leads back to a folder that it lies in; expected a tree. Remove the link.")
    return (*chain, (stat.st_dev, stat.st_ino))


def _is_hidden(name: str) -> bool:
    """Of an editor, a notebook or a file manager: .ipynb_checkpoints, or macOS's ._1.png."""
    return name.startswith(".")


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _check_names(top: Path, files: Sequence[str]) -> None:
    strange = next((file for file in files if not is_text(file)), None)
    if strange is not None:
        raise SourceError(f"{top}: the name {strange!r} is not UTF-8. Rename the file or its folder.")


def _refuse_listing(fault: OSError) -> NoReturn:
    raise SourceError(f"{fault.filename} cannot be listed: {fault.strerror}. Allow reading it, or remove it.") from None
