"""Writes a finished store into one HDF5 file that needs nothing but HDF5 to be read."""

import json
import time
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from cache_kd import __version__
from cache_kd.config import Config
from cache_kd.disk import mending
from cache_kd.errors import StoreError
from cache_kd.exchange.hdf5_file import (
    FORMAT,
    MANIFEST,
    SUM_TYPE,
    SUMS,
    VERSION,
    chunk_shape,
    content_sum,
    grid,
    witness_name,
)
from cache_kd.exchange.whole_file import whole_file
from cache_kd.progress import Progress, Silent
from cache_kd.store.arrays import (
    StoredArray,
    arrays_of,
    digest_array,
    exact_array,
    holds_exact,
    knob_array,
    logit_arrays,
)
from cache_kd.store.layout import Shard
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import seal
from cache_kd.store.parameters import read_parameters
from cache_kd.store.reader import Reader
from cache_kd.store.record import PARAMETERS_FILE
from cache_kd.store.witness import witness_views

Compression = Literal["gzip", "lzf", "none"]

# On a CIFAR teacher's float16 logits level 1 keeps 0.875 of the bytes, level 4 0.864 in 1.5 times the time; without
# the bytes shuffled it is 0.93. What is left are mantissas, which are noise.
GZIP_LEVEL = 1


class ExportResult(Config):
    """What an export did, for scripts."""

    file: str
    store_id: str
    rows: int
    seconds: float
    bytes: int


def export_store(
    path: Path,
    out: Path,
    *,
    compression: Compression = "gzip",
    force: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Write everything that the store at `path` holds to the HDF5 file `out`, checking every file as it is read.

    The file appears whole or not at all.

    Args:
        path: of a finished store.
        out: the file; `import_store` makes the same store of it.
        compression: of the chunks. every HDF5 reads gzip; lzf is faster and only h5py is sure to read it.
        force: replace `out` where it is there.
        progress: who watches.

    Raises:
        StoreError: there is no store, `out` is there or cannot be written.
        StoreIncomplete: the store's dump has not finished.
        StoreDamaged: a file of the store is not what was written.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    with Reading(path):
        reader = Reader.open(path)
        manifest = reader.manifest
        _refuse_place(path, out, force=force)
        shards = [shard for part, entry in manifest.parts.items() for shard in entry.layout.shards(part)]
        rows = sum(shard.rows for shard in shards)
        progress.say(f"{path} ({manifest.store_id}): {rows:,} rows, {compression} -> {out}")
        with (
            mending(out, StoreError, option="another file", again="run the same command again"),
            whole_file(out) as (file, disk),
        ):
            file.attrs.update({"format": FORMAT, "version": VERSION, "cache_kd": __version__})
            text = json.dumps(seal(manifest), indent=2, ensure_ascii=False).encode()
            file.create_dataset(MANIFEST, data=np.array(text, h5py.string_dtype("utf-8", len(text))))
            for part in manifest.parts:
                for array in arrays_of(manifest, part):
                    _create(file, array, compression)
                for array, content in reader.of_samples(part):
                    _put(file, array, (0,), ..., content)
            if knobs := knob_array(manifest):
                for view in range(manifest.parts["train"].views):
                    _put(file, knobs, (view, 0, 0), view, reader.knobs(view))
            if (parameters := read_parameters(path, manifest)) is not None:
                _put_whole(file, PARAMETERS_FILE, np.frombuffer(parameters, dtype=np.uint8))
            for view in witness_views(manifest):
                _put_witnesses(file, view, reader.witnesses(view), compression)
            with progress.task("export", rows, "rows") as advance:
                for shard in shards:
                    _put_shard(file, reader, shard)
                    disk.demand_sound()
                    advance(shard.rows)
    return ExportResult(
        file=str(out),
        store_id=manifest.store_id,
        rows=rows,
        seconds=time.perf_counter() - started,
        bytes=out.stat().st_size,
    )


def _refuse_place(path: Path, out: Path, *, force: bool) -> None:
    if out.is_dir() or out.resolve().is_relative_to(path.resolve()):
        raise StoreError(f"{out} is {'a folder' if out.is_dir() else 'inside the store'}. Pass the name of a new file.")
    if out.exists() and not force:
        raise StoreError(f"{out} is there already. Pass another name, or --force to replace it.")


def _create(file: h5py.File, array: StoredArray, compression: Compression) -> None:
    dataset = file.create_dataset(
        array.path, shape=array.shape, dtype=array.dtype, chunks=chunk_shape(array), **_filters(compression)
    )
    for axis, name in enumerate(array.dimensions):
        dataset.dims[axis].label = name
    file.create_dataset(f"{SUMS}/{array.path}", shape=grid(array), dtype=SUM_TYPE)


def _put_shard(file: h5py.File, reader: Reader, shard: Shard) -> None:
    encoded, digests = reader.shard(shard)
    place = (shard.view, slice(shard.start, shard.stop))
    for name, array in logit_arrays(reader.manifest, shard.part).items():
        _put(file, array, (shard.view, shard.index, 0), place, encoded[name])
    _put(file, digest_array(reader.manifest, shard.part), (shard.view, shard.index), place, digests)
    exact = exact_array(reader.manifest)
    if exact and holds_exact(shard):
        _put(file, exact, (0, 0), ..., reader.exact())


def _put(file: h5py.File, array: StoredArray, index: tuple[int, ...], place: Any, rows: NDArray[Any]) -> None:
    file[array.path][place] = rows
    file[f"{SUMS}/{array.path}"][index] = content_sum(rows)


def _put_witnesses(file: h5py.File, view: int, rows: NDArray[np.uint8], compression: Compression) -> None:
    _put_whole(file, witness_name(view), rows, chunks=(1, *rows.shape[1:]), **_filters(compression))


def _put_whole(file: h5py.File, name: str, numbers: NDArray[np.uint8], **layout: Any) -> None:
    """What the store keeps in one file of its own, beside its arrays."""
    file.create_dataset(name, data=numbers, **layout)
    file.create_dataset(f"{SUMS}/{name}", data=np.array(content_sum(numbers), SUM_TYPE))


def _filters(compression: Compression) -> dict[str, Any]:
    if compression == "none":
        return {}
    level = GZIP_LEVEL if compression == "gzip" else None
    return {"compression": compression, "compression_opts": level, "shuffle": True}
