"""What a store holds, read off its files alone: no images, no teacher."""

from pathlib import Path

import numpy as np

from cache_kd.bucket.remote import RemoteStore, open_remote
from cache_kd.config import Config
from cache_kd.faithfulness import stored_cosines
from cache_kd.methods import make_method
from cache_kd.store.catalog import bytes_on_disk
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader

# plain distillation, and the methods whose temperatures or targets read most of a row
PAPERS = ("kd", "normkd", "la", "dtd", "rld", "atkd")


class Inspection(Config):
    """A store at a glance."""

    manifest: Manifest
    complete: float  # share of the shards that are written, 0 to 1
    bytes: int  # on disk, everything in
    bytes_per_view: float | None  # of one row of one view, everything in; None of an unfinished store
    teacher_accuracy: float | None  # top-1 on the plain test images; None without them, or where rows are not read
    gradient_cosines: dict[str, float]  # of `PAPERS`, see `faithfulness`; none of an unfinished or a lossless store


def inspect_store(path: Path | str) -> Inspection:
    """Read the store at `path`, finished or not; of one at a URL only its manifest and the names of its objects.

    Raises:
        StoreError: it is not a store, or damaged.
    """
    if isinstance(path, str):
        return _glance(open_remote(path))
    with Reading(path):
        reader = Reader.open(path, partial=True)
        manifest = reader.manifest
        size = bytes_on_disk(path)
        methods = {name: make_method(name) for name in PAPERS}
        finished = reader.complete == 1
        return Inspection(
            manifest=manifest,
            complete=reader.complete,
            bytes=size,
            bytes_per_view=size / _rows_in(manifest) if finished else None,
            teacher_accuracy=_accuracy(reader) if finished and "test" in manifest.parts else None,
            gradient_cosines=stored_cosines(reader, methods) if finished else {},
        )


def _glance(remote: RemoteStore) -> Inspection:
    return Inspection(
        manifest=remote.manifest,
        complete=remote.complete,
        bytes=remote.bytes,
        bytes_per_view=remote.bytes / _rows_in(remote.manifest) if remote.complete == 1 else None,
        teacher_accuracy=None,
        gradient_cosines={},
    )


def _rows_in(manifest: Manifest) -> int:
    return sum(part.views * part.samples for part in manifest.parts.values())


def _accuracy(reader: Reader) -> float:
    labels = reader.labels("test")
    named = reader.view("test", 0).rows(np.arange(len(labels))).argmax(1)
    return float((named == labels).mean())
