"""How many bytes a store will take, to the byte for its arrays: arithmetic on the layout, nothing is written."""

from collections.abc import Mapping
from math import prod

import numpy as np

from cache_kd.config import Config
from cache_kd.store.arrays import StoredArray, arrays_of, digest_array, logit_arrays
from cache_kd.store.codec import Codec
from cache_kd.store.manifest import Manifest, new_manifest
from cache_kd.store.witness import witness_rows, witness_views

CHECKSUM = 4  # crc32c of a chunk, and of a shard's index
INDEX_ENTRY = 16  # offset and length of a chunk in its shard
UNKNOWN = "unknown"  # hashing all images would take long and changes no size


class StoreSize(Config):
    """Bytes of a store.

    Attributes:
        total: arrays of all parts, witnesses and the codec's parameters; not some kilobytes of metadata and records.
        per_view: of a training view: its logits as encoded, its digest, their checksums and what fills the last chunk.
    """

    total: int
    per_view: float


def store_size(
    codec: Codec, *, samples: Mapping[str, int], views: int, classes: int, view_bytes: int, parameter_bytes: int = 0
) -> StoreSize:
    """What a dump with `codec` would write.

    Args:
        codec: as `Codec.resolved` gives it.
        samples: of each part, `train` among them.
        views: of the train part.
        classes: logits per row.
        view_bytes: pixels of a training view, some of which are kept as witnesses.
        parameter_bytes: of a fitted codec's file.
    """
    manifest = _would_be(codec, samples, views, classes)
    of_parts = sum(file_bytes(array) for part in samples for array in arrays_of(manifest, part))
    witnesses = view_bytes * sum(witness_rows(manifest, view) for view in witness_views(manifest))
    of_rows = [*logit_arrays(manifest, "train").values(), digest_array(manifest, "train")]
    return StoreSize(
        total=of_parts + witnesses + parameter_bytes,
        per_view=sum(map(file_bytes, of_rows)) / (views * samples["train"]),
    )


def file_bytes(array: StoredArray) -> int:
    """All files of one Zarr array: chunks are written whole and end in a checksum, shards end in an index."""
    item = np.dtype(array.dtype).itemsize
    objects = prod(_cuts(array.shape, array.object_shape))
    if array.chunk_shape is None:
        return objects * (prod(array.object_shape) * item + CHECKSUM)
    chunks_in_shard = prod(_cuts(array.object_shape, array.chunk_shape))
    chunks = prod(_cuts(array.shape, array.chunk_shape))
    index = chunks_in_shard * INDEX_ENTRY + CHECKSUM
    return chunks * (prod(array.chunk_shape) * item + CHECKSUM) + objects * index


def _cuts(shape: tuple[int, ...], piece: tuple[int, ...]) -> list[int]:
    return [-(-length // each) for length, each in zip(shape, piece, strict=True)]


def _would_be(codec: Codec, samples: Mapping[str, int], views: int, classes: int) -> Manifest:
    """The manifest of such a store; what names its images and teacher does not decide a size."""
    return new_manifest(
        samples=samples,
        fingerprints=dict.fromkeys(samples, UNKNOWN),
        views=views,
        classes=classes,
        class_names=None,
        channels=1,
        source_spec={},
        recipe={},
        seed=0,
        teacher={
            "name": UNKNOWN,
            "fingerprint": UNKNOWN,
            "checkpoint": UNKNOWN,
            "normalise": {},
            "precision": "float32",
        },
        codec=codec.to_json(),
        environment={},
    )
