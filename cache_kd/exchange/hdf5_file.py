"""The HDF5 file of an exported store: what stands where in it, and how a file that is not one is refused.

Everything has the name that it has in the store: `logits/dense`, `view_digest`, `labels`, `test/labels`, `witness/0`.
Below `sha256` stands, under the same name, the sha256 of each object that the store keeps in a file of its own, at
that object's place in the grid; below `manifest` the manifest as JSON text. `codec.safetensors` is, byte for byte, the
file with the parameters of a codec that has some.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cache_kd.config import parse_json
from cache_kd.errors import ConfigError, StoreDamaged, StoreError
from cache_kd.store.arrays import StoredArray, arrays_of
from cache_kd.store.codec import make_codec
from cache_kd.store.manifest import Manifest, unseal
from cache_kd.store.record import PARAMETERS_FILE, parameter_piece
from cache_kd.store.witness import FOLDER as WITNESS_FOLDER
from cache_kd.store.witness import witness_rows, witness_views

FORMAT = "cache_kd-export"
VERSION = 1

MANIFEST = "manifest"
SUMS = "sha256"
SUM_TYPE = np.dtype("S64")  # hexadecimal

# Deflate makes at most 1032 bytes of one. What claims more was not made by compressing: it has rows that were never
# written, or wants memory for nothing.
LARGEST_RATIO = 1032

# what h5py raises for bytes that are not what HDF5 wrote; which of them depends on where the damage is
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError)


def content_sum(rows: NDArray[Any]) -> str:
    """The sha256 of the numbers in `rows`, in C order and little-endian as every array here is, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()


def witness_name(view: int) -> str:
    """The name of the witnesses of one view."""
    return f"{WITNESS_FOLDER}/{view}"


def grid(array: StoredArray) -> tuple[int, ...]:
    """How many objects an array is cut into, along each axis."""
    return tuple(-(-length // each) for length, each in zip(array.shape, array.object_shape, strict=True))


def chunk_shape(array: StoredArray) -> tuple[int, ...]:
    """The chunks in the file: those of the store, cut to the array, for HDF5 takes no larger ones."""
    chunk = array.chunk_shape or array.object_shape
    return tuple(min(pair) for pair in zip(chunk, array.shape, strict=True))


@dataclass(frozen=True)
class ExportedStore:
    """An open HDF5 file that was checked to hold a store.

    Attributes:
        path: of the file.
        manifest: of the store.
    """

    path: Path
    manifest: Manifest
    _file: h5py.File

    def read(self, array: StoredArray, index: tuple[int, ...], place: Any) -> NDArray[Any]:
        """The rows at `place`, which are the object at `index` of the array's grid.

        Raises:
            StoreDamaged: they are not what was exported.
        """
        return self._checked(array.path, index, place)

    def witnesses(self, view: int) -> NDArray[np.uint8]:
        """The witnesses of one view.

        Raises:
            StoreDamaged: they are not what was exported.
        """
        return self._checked(witness_name(view), (), ())

    def parameters(self) -> bytes | None:
        """The file with the parameters of the codec; None of a codec that has none.

        Raises:
            StoreDamaged: they are not what was exported.
        """
        if parameter_piece(self.manifest) is None:
            return None
        return self._checked(PARAMETERS_FILE, (), ...).tobytes()

    def _checked(self, name: str, index: tuple[int, ...], place: Any) -> NDArray[Any]:
        try:
            rows: NDArray[Any] = self._file[name][place]
            expected = self._file[f"{SUMS}/{name}"][index]
        except UNREADABLE as fault:
            raise _damaged(self.path, f"{name!r} cannot be read: {fault}") from None
        if content_sum(rows).encode() != expected:
            where = f" at {list(index)}" if index else ""
            raise _damaged(self.path, f"{name!r}{where} has other numbers than were exported (sha256)")
        return rows


@contextmanager
def open_export(path: Path) -> Iterator[ExportedStore]:
    """Open what `kdcache export` wrote; no row is read, nothing outside the file is followed.

    Raises:
        StoreError: it is not there, not such a file, or a newer release wrote it.
        StoreDamaged: it is not whole, or not what was written.
    """
    if not path.is_file():
        raise StoreError(f"{path} is not a file. Pass the one that kdcache export wrote.")
    try:
        file = h5py.File(path, "r")
    except OSError as fault:
        raise StoreError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as HDF5: {fault}. Copy or export it again."
        ) from None
    with file:
        manifest = _read_manifest(file, path)
        for part in manifest.parts:
            for array in arrays_of(manifest, part):
                found = _dataset(file, path, array.path)
                _expect(path, found, shape=array.shape, dtype=np.dtype(array.dtype), chunks=chunk_shape(array))
                _expect(path, _dataset(file, path, f"{SUMS}/{array.path}"), shape=grid(array), dtype=SUM_TYPE)
        for view in witness_views(manifest):
            found = _dataset(file, path, witness_name(view))
            shape = (witness_rows(manifest, view), *found.shape[1:])
            _expect(path, found, shape=shape, dtype=np.dtype(np.uint8))
            _expect(path, _dataset(file, path, f"{SUMS}/{witness_name(view)}"), shape=(), dtype=SUM_TYPE)
        if parameter_piece(manifest):
            found = _dataset(file, path, PARAMETERS_FILE)
            _expect(path, found, shape=(found.size,), dtype=np.dtype(np.uint8))
            _expect(path, _dataset(file, path, f"{SUMS}/{PARAMETERS_FILE}"), shape=(), dtype=SUM_TYPE)
        yield ExportedStore(path, manifest, file)


def _read_manifest(file: h5py.File, path: Path) -> Manifest:
    try:
        found, version = file.attrs.get("format"), file.attrs.get("version")
    except UNREADABLE as fault:
        raise _damaged(path, f"its attributes cannot be read: {fault}") from None
    if not isinstance(found, str) or found != FORMAT:
        raise StoreError(
            f"{path} is HDF5, but not an exported store: it has no attribute 'format' that says {FORMAT!r}. "
            "Pass the file that kdcache export wrote; for logits of your own, pass --from."
        )
    if not isinstance(version, np.integer) or version != VERSION:
        raise StoreError(
            f"{path} is an export of version {version}; this release reads version {VERSION}. "
            "Upgrade with: pip install --upgrade cache_kd."
        )
    text = _dataset(file, path, MANIFEST)
    if text.shape != () or text.dtype.kind != "S":
        raise _damaged(path, f"{MANIFEST!r} is not text")
    try:
        sealed = parse_json(text[()])
        if not isinstance(sealed, dict):
            raise ConfigError("it is not a manifest")
        manifest = unseal(sealed, path)
    except UNREADABLE as fault:
        raise _damaged(path, f"{MANIFEST!r} cannot be read: {fault}") from None
    except ConfigError as fault:
        raise _damaged(path, f"{MANIFEST!r}: {fault}") from None
    try:
        make_codec(manifest.codec)
    except ConfigError as fault:
        raise StoreError(f"{path} was written with another release: {fault} Upgrade cache_kd.") from None
    return manifest


def _dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    """A dataset that lies in this very file: no link and no storage leads out of it."""
    found: Any = file
    try:
        for word in name.split("/"):
            link = found.get(word, getlink=True) if isinstance(found, h5py.Group) else None
            if not isinstance(link, h5py.HardLink):
                raise _damaged(path, f"it has no {name!r} of its own" if link else f"it has no {name!r}")
            found = found[word]
        if not isinstance(found, h5py.Dataset):
            raise _damaged(path, f"{name!r} is a group")
        if found.external or found.is_virtual:
            raise _damaged(path, f"{name!r} lies in another file, which an export never does")
        if found.dtype.hasobject:
            raise _damaged(path, f"{name!r} has type {found.dtype}, which an export never has")
        size, kept = found.nbytes, found.id.get_storage_size()
    except UNREADABLE as fault:
        raise _damaged(path, f"{name!r} cannot be read: {fault}") from None
    if size > LARGEST_RATIO * kept:
        raise _damaged(path, f"{name!r} claims {size:,} bytes and holds {kept:,}")
    return found


def _expect(
    path: Path,
    found: h5py.Dataset,
    *,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunks: tuple[int, ...] | None = None,
) -> None:
    if found.shape != shape or found.dtype != dtype or (chunks and found.chunks != chunks):
        raise _damaged(
            path,
            f"{found.name!r} is {found.dtype} {list(found.shape)} in chunks of {found.chunks}; its manifest says "
            f"{dtype} {list(shape)}" + (f" in chunks of {chunks}" if chunks else ""),
        )


def _damaged(path: Path, what: str) -> StoreDamaged:
    return StoreDamaged(f"{path} is damaged: {what}. Copy or export it again.")
