"""How many bytes a store will take, all files of it: arithmetic on the layout, nothing is written."""

import json
from collections.abc import Mapping
from math import prod
from typing import Any

from cache_kd.config import Config
from cache_kd.store.arrays import StoredArray, arrays_of, digest_array, logit_arrays, metadata_files
from cache_kd.store.codec import Codec
from cache_kd.store.fidelity import TEMPERATURES, Fidelity
from cache_kd.store.manifest import Manifest, new_manifest, root_file
from cache_kd.store.object_form import form_of
from cache_kd.store.record import Record, StoredObject, pieces
from cache_kd.store.witness import witness_rows, witness_views

WITNESS_HEADER = 128  # of a .npy file of four axes
UNKNOWN = "0" * 32  # hashing all images would take long, and all hashes are as long

# as long as they get; a dump writes other numbers, and never more of them
LONGEST = 5.551115123125783e-17
FIDELITY = Fidelity(
    rows=9999, kl=dict.fromkeys(TEMPERATURES, LONGEST), top1=LONGEST, largest_error=LONGEST, std_error=LONGEST
)
OBJECT_BYTES = 10**8 - 1


class StoreSize(Config):
    """Bytes of a store.

    Attributes:
        total: of all files, and never less than a dump writes; beyond that a few bytes for each completion record.
        per_view: of a training view: its logits as encoded, its digest, their checksums and what fills the last chunk.
    """

    total: int
    per_view: float


def store_size(
    codec: Codec,
    *,
    samples: Mapping[str, int],
    views: int,
    classes: int,
    view_bytes: int,
    parameter_bytes: int = 0,
    words: Mapping[str, Any] | None = None,
) -> StoreSize:
    """What a dump with `codec` would write, and never less than that.

    Args:
        codec: as `Codec.resolved` gives it.
        samples: of each part, `train` among them.
        views: of the train part.
        classes: logits per row.
        view_bytes: pixels of a training view, some of which are kept as witnesses.
        parameter_bytes: of a fitted codec's file.
        words: what else `new_manifest` is told, where it is known: class names, paths and the like take room too.
    """
    manifest = _would_be(codec, samples, views, classes, words or {})
    of_parts = sum(file_bytes(array) for part in samples for array in arrays_of(manifest, part))
    witnesses = sum(WITNESS_HEADER + view_bytes * witness_rows(manifest, view) for view in witness_views(manifest))
    of_rows = [*logit_arrays(manifest, "train").values(), digest_array(manifest, "train")]
    return StoreSize(
        total=of_parts + witnesses + parameter_bytes + _bytes_of_words(manifest),
        per_view=sum(map(file_bytes, of_rows)) / (views * samples["train"]),
    )


def file_bytes(array: StoredArray) -> int:
    """All files of one Zarr array; in the last shard only chunks that hold rows are written."""
    form = form_of(array)
    objects = prod(_cuts(array.shape, array.object_shape))
    chunks = prod(_cuts(array.shape, array.chunk_shape or array.object_shape))
    return chunks * form.stride + objects * form.index_bytes


def _bytes_of_words(manifest: Manifest) -> int:
    """The manifest, the metadata of its arrays, and the completion records."""
    root = root_file(manifest.model_copy(update={"fidelity": FIDELITY}) if manifest.exact_rows else manifest)
    metadata = [json.dumps(content, indent=2) for content in metadata_files(manifest).values()]
    records = [
        Record(
            store_id=manifest.store_id,
            rows=piece.rows,
            objects=tuple(StoredObject(path=file, size=OBJECT_BYTES, sha256="0" * 64) for file in piece.files),
        ).model_dump_json()
        for piece in pieces(manifest)
    ]
    return len(root) + sum(len(text.encode()) for text in [*metadata, *records])


def _cuts(shape: tuple[int, ...], piece: tuple[int, ...]) -> list[int]:
    return [-(-length // each) for length, each in zip(shape, piece, strict=True)]


def _would_be(codec: Codec, samples: Mapping[str, int], views: int, classes: int, words: Mapping[str, Any]) -> Manifest:
    """The manifest of such a store."""
    teacher = dict.fromkeys(("name", "fingerprint", "checkpoint"), UNKNOWN) | {"normalise": {}, "precision": "float32"}
    unnamed: dict[str, Any] = {
        "class_names": None,
        "channels": 1,
        "source_spec": {},
        "recipe": {},
        "seed": 0,
        "environment": {},
    }
    return new_manifest(
        samples=samples,
        fingerprints=dict.fromkeys(samples, UNKNOWN),
        views=views,
        classes=classes,
        codec=codec.to_json(),
        **{**unnamed, "teacher": teacher, **words},
    )
