"""The Zarr arrays of a store: where each stands, what its metadata says, and which files hold a shard."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cache_kd.config import parse_json
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest

if TYPE_CHECKING:
    import zarr

METADATA_FILE = "zarr.json"


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """One Zarr array.

    Attributes:
        path: below the store.
        shape: views come first where there are any.
        dtype: as Zarr names it.
        fill: what was never written reads as; no reader relies on it.
        object_shape: of what one file holds: a shard, or a plain chunk.
        chunk_shape: of the chunks in a shard; None where a file holds one plain chunk.
        dimensions: a name for each axis.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    fill: str | int
    object_shape: tuple[int, ...]
    chunk_shape: tuple[int, ...] | None
    dimensions: tuple[str, ...]

    def metadata(self) -> dict[str, Any]:
        """What its metadata file says, in the words of the Zarr v3 specification.

        Written out here rather than left to a library, so that creating is one atomic write, every version of
        zarr makes the same file, and a reader can demand exactly this.
        """
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        # a single byte has no order
        checked = [little if np.dtype(self.dtype).itemsize > 1 else {"name": "bytes"}, {"name": "crc32c"}]
        sharded = {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": list(self.chunk_shape or ()),
                "codecs": checked,
                "index_codecs": [little, {"name": "crc32c"}],
                "index_location": "end",
            },
        }
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.object_shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": self.fill,
            "codecs": [sharded] if self.chunk_shape else checked,
            "attributes": {},
            "dimension_names": list(self.dimensions),
            "storage_transformers": [],
        }

    def file(self, *index: int) -> str:
        """The file that holds the object at `index` of the grid, below the store."""
        return "/".join([self.path, "c", *map(str, index)])

    def open(self, store: Path) -> "zarr.Array[Any]":
        """The array in the store at `store` as zarr-python reads it, which tests and benchmarks compare with."""
        import zarr  # 0.12 s, which no command has to wait for
        from zarr.storage import LocalStore

        return zarr.open_array(LocalStore(store, read_only=True), path=self.path, mode="r", zarr_format=3)


def logit_arrays(manifest: Manifest, part: str) -> dict[str, StoredArray]:
    """The codec's arrays [view, row, width] of one part, by the codec's names for them."""
    entry = manifest.parts[part]
    return {
        array.name: StoredArray(
            path=f"{_folder(part)}logits/{array.name}",
            shape=(entry.views, entry.samples, array.width),
            dtype=array.dtype,
            fill="NaN" if array.dtype.startswith("float") else 0,
            object_shape=(1, entry.shard_rows, array.width),
            chunk_shape=(1, entry.chunk_rows, array.width),
            dimensions=("view", _axis(manifest, part), "width"),
        )
        for array in make_codec(manifest.codec).arrays(manifest.classes)
    }


def digest_array(manifest: Manifest, part: str) -> StoredArray:
    """The crc32 of every view's pixels, uint32 [view, row]."""
    entry = manifest.parts[part]
    return StoredArray(
        path=f"{_folder(part)}view_digest",
        shape=(entry.views, entry.samples),
        dtype="uint32",
        fill=0,
        object_shape=(1, entry.shard_rows),
        chunk_shape=None,
        dimensions=("view", _axis(manifest, part)),
    )


def label_array(manifest: Manifest, part: str) -> StoredArray:
    """The labels, int64 [sample], in one file."""
    samples = manifest.parts[part].samples
    return StoredArray(
        path=f"{_folder(part)}labels",
        shape=(samples,),
        dtype="int64",
        fill=-1,
        object_shape=(samples,),
        chunk_shape=None,
        dimensions=("sample",),
    )


def sample_array(manifest: Manifest, part: str) -> StoredArray:
    """The sample in each row, int64 [row], in one file: `Manifest.row_order` for other tools."""
    return replace(label_array(manifest, part), path=f"{_folder(part)}samples", dimensions=("row",))


def exact_array(manifest: Manifest) -> StoredArray | None:
    """The exact logits float32 [row, class] of the first rows of train view 0; None where none are kept."""
    if not manifest.exact_rows:
        return None
    shape = (manifest.exact_rows, manifest.classes)
    return StoredArray(
        path="exact",
        shape=shape,
        dtype="float32",
        fill="NaN",
        object_shape=shape,
        chunk_shape=None,
        dimensions=("row", "class"),
    )


def knob_array(manifest: Manifest) -> StoredArray | None:
    """The recorded knobs of the train views, float32 [view, sample, knob], a file a view; None where none are kept."""
    if not manifest.knobs:
        return None
    part = manifest.parts["train"]
    return StoredArray(
        path="knobs",
        shape=(part.views, part.samples, manifest.knobs),
        dtype="float32",
        fill="NaN",
        object_shape=(1, part.samples, manifest.knobs),
        chunk_shape=None,
        dimensions=("view", "sample", "knob"),
    )


def holds_exact(shard: Shard) -> bool:
    """Whether the exact rows are of `shard`, and so written with it."""
    return (shard.part, shard.view, shard.index) == ("train", 0, 0)


def arrays_of(manifest: Manifest, part: str) -> list[StoredArray]:
    """Every array of one part."""
    of_rows = [*logit_arrays(manifest, part).values(), digest_array(manifest, part)]
    own = (exact_array(manifest), knob_array(manifest)) if part == "train" else ()
    return [*of_rows, *arrays_of_samples(manifest, part), *filter(None, own)]


def arrays_of_samples(manifest: Manifest, part: str) -> list[StoredArray]:
    """The arrays that are the same for all views: labels and, where rows have an order of their own, samples."""
    keyed = manifest.parts[part].row_order == "keyed"
    return [label_array(manifest, part), *([sample_array(manifest, part)] if keyed else [])]


def shard_files(manifest: Manifest, shard: Shard) -> list[str]:
    """The files, below the store, that hold one shard: one per array of the codec, its digests, and exact rows."""
    logits = [array.file(shard.view, shard.index, 0) for array in logit_arrays(manifest, shard.part).values()]
    exact = exact_array(manifest) if holds_exact(shard) else None
    digests = digest_array(manifest, shard.part).file(shard.view, shard.index)
    return [*logits, digests, *([exact.file(0, 0)] if exact else [])]


def metadata_files(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """What every metadata file below the root group has to say, by its place below the store."""
    files: dict[str, dict[str, Any]] = {}
    for part in manifest.parts:
        groups = [f"{_folder(part)}logits", *([part] if _folder(part) else [])]
        files |= {f"{group}/{METADATA_FILE}": _GROUP for group in groups}
        files |= {f"{array.path}/{METADATA_FILE}": array.metadata() for array in arrays_of(manifest, part)}
    return files


def metadata_fault(store: Path, file: str, expected: dict[str, Any]) -> str | None:
    """Why the metadata file at `file` below `store` does not say what it has to; None where it does.

    More views than expected are no fault: they are what an interrupted growth leaves.
    """
    try:
        found = parse_json((store / file).read_bytes())
    except OSError as fault:
        return f"cannot be read ({fault.strerror})"
    except ValueError:
        return "is not JSON"
    if not isinstance(found, dict):
        return "is not the metadata of an array"
    wrong = [name for name in sorted(expected.keys() | found.keys()) if found.get(name) != expected.get(name)]
    if wrong == ["shape"] and _is_grown(expected, found.get("shape")):
        return None
    return f"disagrees with the manifest in {', '.join(wrong)}" if wrong else None


def _axis(manifest: Manifest, part: str) -> str:
    return "row" if manifest.parts[part].row_order == "keyed" else "sample"


def _folder(part: str) -> str:
    """The train part stands at the root of the store, any other in a group of its name."""
    return "" if part == "train" else f"{part}/"


def _is_grown(expected: dict[str, Any], shape: Any) -> bool:
    views, *rows = expected["shape"]
    return (
        expected["dimension_names"][0] == "view"
        and isinstance(shape, list)
        and len(shape) == 1 + len(rows)
        and isinstance(shape[0], int)
        and shape[0] > views
        and shape[1:] == rows
    )


_GROUP = {"zarr_format": 3, "node_type": "group", "attributes": {}}
