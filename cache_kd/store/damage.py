"""What of a store's files is missing, torn, flipped or foreign, by comparing all of them with manifest and records."""

import os
from dataclasses import dataclass
from pathlib import Path

from cache_kd.config import parse_json
from cache_kd.files import files_below
from cache_kd.store.arrays import METADATA_FILE, arrays_of, digest_array, metadata_fault, metadata_files
from cache_kd.store.manifest import CREATING, LOCK, ROOT_FILE, Manifest
from cache_kd.store.record import Piece, find_fault, is_recorded, pieces, with_dependants
from cache_kd.store.witness import FOLDER as WITNESS_FOLDER


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Everything about a store that is not as it should be.

    Attributes:
        path: of the store.
        metadata: the metadata files of groups and arrays that do not say what they have to, and why.
        pieces: shards, labels and witnesses that are not written, or not what was written, and why.
        linked: files below it that are none of the store's own, but that a link makes hold some.
        foreign: files that do not belong to the store, below it.
    """

    path: Path
    metadata: dict[str, str]
    pieces: tuple[tuple[Piece, str], ...]
    linked: tuple[str, ...]
    foreign: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """One for each fault, with the file in it."""
        return [
            *(f"{self.path / file} {why}" for file, why in self.metadata.items()),
            *(f"{piece.title}: {why}" for piece, why in self.pieces),
            *(f"{self.path / file} is no file of this store, but a link makes it hold some" for file in self.linked),
            *(f"{self.path / file} does not belong to this store" for file in self.foreign),
        ]


def find_damage(path: Path, manifest: Manifest, *, deep: bool = False) -> Damage:
    """Look at every file of the store at `path`.

    Args:
        path: of the store.
        manifest: as it stands there.
        deep: read every byte and compare checksums, 1.7 GB a second on one core; else only sizes.
    """
    metadata = {
        file: fault
        for file, content in metadata_files(manifest).items()
        if (fault := metadata_fault(path, file, content))
    }
    faults = {piece: fault for piece in pieces(manifest) if (fault := _piece_fault(path, manifest, piece, deep=deep))}
    lacking = with_dependants(manifest, list(faults))
    faulty = tuple((piece, faults.get(piece, "cannot be read without the codec's parameters")) for piece in lacking)
    linked, foreign = strangers(path, manifest)
    return Damage(path=path, metadata=metadata, pieces=faulty, linked=linked, foreign=foreign)


def strangers(path: Path, manifest: Manifest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files below the store at `path` that are none of its own: those that hold some by links, and the foreign.

    Its rows may stand elsewhere: a link in place of one of its folders or files leads to them, out of the store or to
    another place in it. What such a link leads through or to is as good as the store's own. Any other link is foreign
    whatever stands behind it.
    """
    own = own_files(path, manifest)
    others = sorted(files_below(path) - own)
    if not others:
        return (), ()
    root = Path(os.path.realpath(path))
    led_to = {real for file in own if (real := Path(os.path.realpath(root / file))) != root / file}
    used = led_to.union(*(real.parents for real in led_to))
    linked = tuple(file for file in others if Path(os.path.realpath(root / file)) in used)
    return linked, tuple(file for file in others if file not in linked)


def own_files(path: Path, manifest: Manifest) -> set[str]:
    """Every file that the store at `path` may have, below it; those of views that are being added are among them."""
    whole = _with_begun_views(path, manifest)
    own = {ROOT_FILE, CREATING, LOCK, *metadata_files(whole)}
    for piece in pieces(whole):
        own |= {piece.record, *piece.files}
    return own


def _with_begun_views(path: Path, manifest: Manifest) -> Manifest:
    """`manifest` with the views that a growth has made room for and of which anything is there."""
    train = manifest.parts["train"]
    room = _room(path / digest_array(manifest, "train").path / METADATA_FILE)
    grids = [path / array.path / "c" for array in arrays_of(manifest, "train") if array.dimensions[0] == "view"]
    folders = [folder for folder in (*grids, path / WITNESS_FOLDER) if folder.is_dir()]
    names = [entry.stem for folder in folders for entry in folder.iterdir()]
    begun = [int(name) + 1 for name in names if name.isdecimal() and int(name) < room]
    views = max([train.views, *begun])
    return manifest.model_copy(update={"parts": {**manifest.parts, "train": train.model_copy(update={"views": views})}})


def _room(metadata: Path) -> int:
    """How many views the array is cut for; 0 where its metadata does not say."""
    try:
        return int(parse_json(metadata.read_bytes())["shape"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _piece_fault(path: Path, manifest: Manifest, piece: Piece, *, deep: bool) -> str | None:
    if not is_recorded(path, piece):
        return f"not written (no {path / piece.record})"
    return find_fault(path, manifest.store_id, piece, deep=deep)
