"""Makes a store of an exported file again: the same bytes in every file, under the same id."""

import time
from pathlib import Path

from cache_kd.config import Config
from cache_kd.errors import StoreMismatch
from cache_kd.exchange.hdf5_file import ExportedStore, open_export
from cache_kd.progress import Progress, Silent
from cache_kd.store.arrays import (
    arrays_of_samples,
    digest_array,
    exact_array,
    holds_exact,
    knob_array,
    label_array,
    logit_arrays,
)
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest
from cache_kd.store.parameters import read_parameters
from cache_kd.store.reader import Reader
from cache_kd.store.record import is_recorded, parameter_piece
from cache_kd.store.witness import witness_views
from cache_kd.store.writer import EncodedShard, Writer


class ImportResult(Config):
    """What an import did, for scripts."""

    store: str
    store_id: str
    views: int
    samples: int
    written_rows: int  # 0: the store was there already
    seconds: float


def import_store(file: Path, store: Path, progress: Progress | None = None) -> ImportResult:
    """Write the store that the exported `file` holds to the folder `store`, shard by shard.

    Every shard is compared with its checksum before it is written. An interrupted import goes on where it was when it
    is repeated; a store of the same id that has fewer views, or lost some shards, gets what it lacks.

    Raises:
        StoreError: not an exported store, or `store` cannot be written to.
        StoreDamaged: the file is not what was exported; what was written before that is no readable store.
        StoreMismatch: `store` holds another store, or the same of other pixels.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    with open_export(file) as exported:
        manifest = exported.manifest

        def admit(stored: Manifest) -> None:
            _demand_same_rows(exported, Reader(store, stored))

        with Writer.create_or_resume(store, manifest, admit=admit) as writer:
            # a store of more views may lack shards that only its own dump can redo
            pending = [shard for shard in writer.pending() if shard.view < manifest.parts[shard.part].views]
            rows = sum(shard.rows for shard in pending)
            progress.say(f"{file} ({manifest.store_id}): {rows:,} rows in {len(pending)} shards -> {store}")
            if knobs := knob_array(manifest):
                for view in range(manifest.parts["train"].views):
                    writer.write_knobs(view, exported.read(knobs, (view, 0, 0), view))
            for view in set(writer.pending_witnesses()) & set(witness_views(manifest)):
                writer.write_witnesses(view, exported.witnesses(view))
            for part in manifest.parts:
                for array in arrays_of_samples(manifest, part):
                    content = exported.read(array, (0,), ...)
                    if array == label_array(manifest, part):
                        writer.write_labels(part, content)
            if (parameters := exported.parameters()) is not None:
                writer.write_parameters(parameters)
            with progress.task("import", rows, "rows") as advance:
                for shard in pending:
                    _write_shard(exported, writer, shard)
                    advance(shard.rows)
            if not writer.complete:
                progress.say(f"{store} has views that {file} lacks, and shards of them are missing: dump it again.")
    return ImportResult(
        store=str(store),
        store_id=manifest.store_id,
        views=writer.manifest.parts["train"].views,
        samples=manifest.parts["train"].samples,
        written_rows=rows,
        seconds=time.perf_counter() - started,
    )


def _write_shard(exported: ExportedStore, writer: Writer, shard: Shard) -> None:
    manifest = exported.manifest
    place = (shard.view, slice(shard.start, shard.stop))
    encoded = {
        name: exported.read(array, (shard.view, shard.index, 0), place)
        for name, array in logit_arrays(manifest, shard.part).items()
    }
    digests = exported.read(digest_array(manifest, shard.part), (shard.view, shard.index), place)
    array = exact_array(manifest) if holds_exact(shard) else None
    exact = exported.read(array, (0, 0), ...) if array else None
    writer.write_encoded(EncodedShard(shard, encoded, digests, exact))


def _demand_same_rows(exported: ExportedStore, reader: Reader) -> None:
    """See that neither rows of two kinds of pixels nor rows in two orders meet in one store."""
    if not reader.manifest.cut_like(exported.manifest):
        raise StoreMismatch(
            f"{reader.path} has the numbers of {exported.path}, but its rows are cut or ordered otherwise, as those of "
            "stores of another release are. Pass another --store; nothing was changed."
        )
    piece = parameter_piece(reader.manifest)
    recorded = piece is not None and is_recorded(reader.path, piece)
    if recorded and exported.parameters() != read_parameters(reader.path, reader.manifest):
        raise StoreMismatch(
            f"{reader.path} has the id of {exported.path}, but its codec learnt other parameters from the teacher, as "
            "it may on another machine: rows of the one cannot be read with those of the other. Pass another --store; "
            "nothing was changed."
        )
    view = reader.other_witnesses(exported.manifest, exported.witnesses)
    if view is not None:
        raise StoreMismatch(
            f"{reader.path} has the id of {exported.path}, but was dumped from other pixels: the witnesses of view "
            f"{view} differ. Pass another --store; nothing was changed."
        )
