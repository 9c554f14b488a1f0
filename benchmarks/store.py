"""How fast stores are read: over a raw memmap copy of the same rows, zarr's own reading, and a file per image or batch.

    python benchmarks/store.py [--json OUT] [--rounds 15] [--rows 524288]

1,000 classes, files in the page cache, one thread for torch; all is timed in turns, and the ratios of each round are
the result. Claims, as shares of the memmap's speed: whole view, batches of 512 at random >= 0.9; whole shards >= 0.8;
windows >= 0.5; against zarr >= 5. Then a store of the size of ImageNet: opening < 0.2 s, an epoch in windows < 500 MB.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Timing, interleave, ratios, write_json

from cache_kd.files import write_whole
from cache_kd.order import EpochOrder
from cache_kd.store.arrays import logit_arrays
from cache_kd.store.cached_rows import CachedRows
from cache_kd.store.checked import CheckedFiles
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, new_manifest
from cache_kd.store.memory import page_aligned
from cache_kd.store.reader import Reader
from cache_kd.store.record import Record, StoredObject, pieces
from cache_kd.store.witness import witness_rows, witness_views
from cache_kd.store.writer import Writer

CLASSES = 1000
BATCH = 512
WINDOW = 32
IMAGENET = 1_281_167

WINDOWED_EPOCH = f"""
import json, re, sys, time
from pathlib import Path
from cache_kd.order import EpochOrder
from cache_kd.store.cached_rows import CachedRows
from cache_kd.store.reader import Reader

def memory(what):
    return int(re.search(what + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) / 1024

Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the imports
before, started = memory("VmRSS"), time.perf_counter()
reader = Reader.open(Path(sys.argv[1]))
part = reader.manifest.parts["train"]
order = EpochOrder(samples=part.samples, batch_size={BATCH}, seed=0, epoch=0, chunk_rows=part.chunk_rows,
                   rows=reader.manifest.row_order("train"), window={WINDOW})
rows = CachedRows(reader, 0)((0,), order.windows)
count = sum(len(rows(samples)) for samples in order.batches())
seconds = time.perf_counter() - started
print(json.dumps(dict(rows=count, seconds=seconds, megabytes=memory("VmHWM") - before)))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2**19)
    parser.add_argument("--files", type=int, default=8192, help="images of the layouts with a file each")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="where there is room; about 6 GB")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        for codec in ("uint8", "float16"):
            results |= _against_memmap(folder / codec, codec, arguments.rows, arguments.rounds)
        results |= _against_files(folder / "files", arguments.files, max(9, arguments.rounds // 2))
        shutil.rmtree(folder / "files")
        results |= _imagenet(folder / "imagenet", arguments.rounds)
    for title, figures in results.items():
        print(f"{title:<64} {json.dumps(figures)}")
    if arguments.json is not None:
        write_json(arguments.json, {"title": "reading stores", "figures": results})


def _against_memmap(folder: Path, codec: str, rows: int, rounds: int) -> dict[str, Any]:
    """Gathering, streaming and windows over the same with numpy's memmap, and zarr's time for shards."""
    manifest = _describe(codec, rows)
    _write(folder / "store", manifest)
    part, layout = manifest.parts["train"], manifest.parts["train"].layout
    reader = Reader.open(folder / "store")
    view = reader.view("train", 0)
    raw = {}
    for name, array in view.arrays.items():
        np.save(folder / f"{name}.npy", array)
        raw[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    shards = layout.shards_of("train", 0)
    buffers = [
        {name: page_aligned((layout.shard_rows, array.shape[1]), array.dtype) for name, array in view.arrays.items()}
        for _ in "ab"
    ]
    order = EpochOrder(
        samples=rows, batch_size=BATCH, seed=0, epoch=0, chunk_rows=part.chunk_rows,
        rows=manifest.row_order("train"), window=WINDOW,
    )  # fmt: skip
    in_windows = list(order.batches())
    at_random = np.random.default_rng(0).permutation(rows).reshape(-1, BATCH)[:64]
    seen = CheckedFiles(reader.path, manifest)
    with ThreadPoolExecutor(2) as threads:

        def memmap_shards() -> None:
            for shard in shards:
                for name, array in raw.items():
                    np.copyto(buffers[0][name][: shard.rows], array[shard.start : shard.stop])

        def files_unchecked() -> None:
            for shard in shards:
                for name, array in logit_arrays(manifest, "train").items():
                    with (reader.path / array.file(0, shard.index, 0)).open("rb", buffering=0) as file:
                        file.readinto(buffers[0][name].reshape(-1).view(np.uint8)[: _nbytes(raw[name], shard)].data)

        def own_shards(files: CheckedFiles) -> None:
            for shard in shards:
                files.read_shard(shard, _first(buffers[0], shard.rows))

        def own_shards_in_two_threads() -> None:
            halves = (list(zip(shards[part::2], [buffers[part]] * len(shards), strict=False)) for part in (0, 1))
            list(threads.map(lambda half: [seen.read_shard(s, _first(into, s.rows)) for s, into in half], halves))

        def zarr_shards() -> None:
            for array in logit_arrays(manifest, "train").values():
                opened = array.open(reader.path)
                for shard in shards:
                    opened[0, shard.start : shard.stop]

        def memmap_batches() -> None:
            for start in range(0, rows, BATCH):
                {name: torch.from_numpy(np.array(array[start : start + BATCH])) for name, array in raw.items()}

        def windows() -> None:
            epoch = CachedRows(reader, 0)((0,), order.windows)
            for samples in in_windows:
                epoch(samples)

        def memmap_gather(batches: list[np.ndarray[Any, Any]]) -> None:
            for samples in batches:
                {name: torch.from_numpy(np.take(array, samples, axis=0)) for name, array in raw.items()}

        def resident_gather() -> None:
            for samples in at_random:
                view.encoded(samples)

        timed: dict[str, Callable[[], object]] = {
            "memmap, shards": memmap_shards,
            "files, unchecked": files_unchecked,
            "shards": lambda: own_shards(seen),
            "shards, 2 threads": own_shards_in_two_threads,
            "shards, first time": lambda: own_shards(CheckedFiles(reader.path, manifest)),
            "zarr, shards": zarr_shards,
            "memmap, batches": memmap_batches,
            "memmap, batches at random": lambda: memmap_gather(in_windows),
            "windows": windows,
            "memmap, gather": lambda: memmap_gather(list(at_random)),
            "gather": resident_gather,
        }
        timings = interleave(timed, rounds)
    compared = {
        "whole view, batches at random / memmap": ("gather", "memmap, gather"),
        "the files of whole shards, nothing checked / memmap": ("files, unchecked", "memmap, shards"),
        "whole shards / memmap": ("shards", "memmap, shards"),
        "whole shards in two threads / memmap": ("shards, 2 threads", "memmap, shards"),
        "whole shards, first time / memmap": ("shards, first time", "memmap, shards"),
        "whole shards / zarr": ("shards", "zarr, shards"),
        "whole shards, first time / zarr": ("shards, first time", "zarr, shards"),
        "windows / memmap, batches in order": ("windows", "memmap, batches"),
        "windows / memmap, the same batches": ("windows", "memmap, batches at random"),
    }
    speeds = {f"{codec}: {what}": _speed(timings, *pair) for what, pair in compared.items()}
    per_second = {name: round(rows / timings[name].median) for name in ("shards", "shards, first time", "windows")}
    return {**speeds, f"{codec}: rows per second": per_second}


def _against_files(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    """An epoch of a float16 store over the same epoch of files: one per image at random, one per batch in order."""
    manifest = _describe("float16", images)
    _write(folder / "store", manifest)
    view = Reader.open(folder / "store").view("train", 0)
    rows = torch.from_numpy(view.encoded(np.arange(images))["dense"])
    for image in range(images):
        torch.save(rows[image].clone(), folder / f"image-{image}.pt")
    batches = np.arange(images).reshape(-1, BATCH)
    for number, samples in enumerate(batches):
        torch.save(rows[torch.from_numpy(samples)].clone(), folder / f"batch-{number}.pt")
    at_random = np.random.default_rng(0).permutation(images).reshape(-1, BATCH)

    def from_store(epoch: np.ndarray[Any, Any]) -> None:
        whole = CachedRows(Reader.open(folder / "store"), 0)((0,), None)
        for samples in epoch:
            whole(samples)

    def from_images() -> None:
        for samples in at_random:
            torch.stack([torch.load(folder / f"image-{image}.pt") for image in samples])

    def from_batches() -> None:
        for number in range(len(batches)):
            torch.load(folder / f"batch-{number}.pt")

    timings = interleave(
        {
            "at random": lambda: from_store(at_random),
            "a file per image": from_images,
            "in order": lambda: from_store(batches),
            "a file per batch": from_batches,
        },
        rounds,
    )
    return {
        "store, opened and checked / a torch.save per image, at random": _speed(
            timings, "at random", "a file per image"
        ),
        "store, opened and checked / a torch.save per batch, in order": _speed(timings, "in order", "a file per batch"),
    }


def _imagenet(folder: Path, rounds: int) -> dict[str, Any]:
    """A uint8 store of 1,281,167 rows: opening it, its files, and an epoch in windows in a process of its own."""
    manifest = _describe("uint8", IMAGENET)
    _write(folder, manifest, real=2)
    opening = interleave({"open": lambda: Reader.open(folder)}, rounds)["open"]
    command = [sys.executable, "-c", WINDOWED_EPOCH, str(folder)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(3)]
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        "ImageNet, uint8: seconds to open": {"n": opening.n, "median": opening.median, "quartiles": opening.spread},
        "ImageNet, uint8: files of one view": len(files),
        "ImageNet, uint8: bytes": sum(file.stat().st_size for file in files),
        f"ImageNet, uint8: an epoch in windows of {WINDOW}": runs,
    }


def _describe(codec: str, rows: int) -> Manifest:
    return new_manifest(
        samples={"train": rows}, fingerprints={"train": "formula"}, views=1, classes=CLASSES, class_names=None,
        channels=3, source_spec={"data": "formula"}, recipe={"name": "none"}, seed=0,
        teacher={
            "name": "formula", "fingerprint": "0", "checkpoint": "-", "normalise": {"mean": [0.0], "std": [1.0]},
            "precision": "float32",
        },
        codec=make_codec(codec).to_json(), environment={},
    )  # fmt: skip


def _write(folder: Path, manifest: Manifest, *, real: int | None = None) -> None:
    """A store of random logits; of its shards only the first `real` and the last are written, others are links."""
    generator = torch.Generator().manual_seed(0)
    with Writer.create_or_resume(folder, manifest) as writer:
        for view in witness_views(manifest):
            writer.write_witnesses(view, np.zeros((witness_rows(manifest, view), 2, 2, 3), dtype=np.uint8))
        writer.write_labels("train", np.zeros(manifest.parts["train"].samples, dtype=np.int64))
        shards = writer.pending()
        for shard in shards if real is None else [*shards[:real], shards[-1]]:
            logits = torch.randn(shard.rows, CLASSES, generator=generator)
            writer.write(shard, logits, np.zeros(shard.rows, dtype=np.uint32))
    lacking = [piece for piece in pieces(manifest) if piece.shard and not (folder / piece.record).exists()]
    for piece in lacking:
        assert piece.shard is not None
        _link(folder, manifest, Shard(**{**vars(piece.shard), "index": 1}), piece.files, piece.record)


def _link(folder: Path, manifest: Manifest, model: Shard, files: tuple[str, ...], record: str) -> None:
    """Give a shard the files of `model`, and a record of its own."""
    sources = [next(p.files for p in pieces(manifest) if p.shard and p.shard.index == model.index)][0]
    objects = []
    for file, source in zip(files, sources, strict=True):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / source, folder / file)
        content = (folder / file).read_bytes()
        objects.append(StoredObject(path=file, size=len(content), sha256=hashlib.sha256(content).hexdigest()))
    entry = Record(store_id=manifest.store_id, rows=model.rows, objects=tuple(objects))
    write_whole(folder / record, entry.model_dump_json().encode())


def _nbytes(array: np.ndarray[Any, Any], shard: Shard) -> int:
    return shard.rows * array.strides[0]


def _first(buffers: dict[str, Any], rows: int) -> dict[str, Any]:
    return {name: buffer[:rows] for name, buffer in buffers.items()}


def _speed(timings: dict[str, Timing], ours: str, theirs: str) -> dict[str, Any]:
    """How many times as fast `ours` is, round by round; and its best round against the best of `theirs`."""
    relative = ratios({theirs: timings[theirs], ours: timings[ours]}, over=ours)[theirs]
    best = min(timings[theirs].seconds) / min(timings[ours].seconds)
    return {"n": relative.n, "median": relative.median, "quartiles": relative.spread, "best": best}


if __name__ == "__main__":
    main()
