"""The route of a teacher: its config, then read straight down from images to a store."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cache_kd.config import Config
from cache_kd.device import DeviceName, Precision, describe_environment, resolve_device
from cache_kd.errors import ModelError
from cache_kd.models.teacher import Teacher, load_teacher
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Rendered, Renderer, RenderOn, Request, open_renderer
from cache_kd.selftest import check_replays
from cache_kd.sources.open import is_tree, open_source, splits
from cache_kd.sources.source import Decoding, Source, SourceSpec
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, new_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer
from cache_kd.types import Digests
from cache_kd.views import Recipe, make_recipe
from cache_kd.witness import demand_exact, write_witnesses


class DumpConfig(Config):
    """One teacher over the views of one source."""

    data: str
    teacher: str
    checkpoint: Path
    store: Path
    root: str | None = None
    decode: Decoding | None = None  # of image files; None: Pillow, as stored, stop at what is unreadable
    recipe: str | dict[str, Any] = "cifar"
    views: Annotated[int, Field(ge=1)] = 4
    seed: Annotated[int, Field(ge=0)] = 0
    codec: str = "float16"
    batch_size: Annotated[int, Field(ge=1)] = 256
    normalise: str | dict[str, Any] | None = None  # None: as the checkpoint says
    device: DeviceName = "auto"
    precision: Precision = "float32"
    workers: Annotated[int, Field(ge=0)] | None = None  # processes that render; None: as many as the data gains from
    render: RenderOn = "cpu"


class DumpResult(Config):
    """What a dump did, for scripts."""

    store: str
    store_id: str
    views: int
    samples: int
    computed_rows: int  # 0: the store was there already, the teacher did not run
    seconds: float
    bytes: int


def dump(config: DumpConfig, progress: Progress | None = None) -> DumpResult:
    """Store the teacher's raw logits over the views of the training images, and over the plain test images.

    Whatever an earlier, interrupted dump finished is kept; a complete store costs nothing.

    Raises:
        StoreMismatch: the path holds another teacher, source, recipe, seed or codec, or its pixels are not these.
        KdCacheError: anything else that a user can mend.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    device = resolve_device(config.device)
    recipe = make_recipe(config.recipe)
    sources = {part: open_source(spec, progress) for part, spec in _parts(config).items()}
    train = sources["train"]
    teacher = load_teacher(
        config.teacher,
        config.checkpoint,
        classes=train.classes,
        channels=train.channels,
        device=device,
        precision=config.precision,
        normalise=config.normalise,
    )
    manifest = _manifest(config, sources, recipe, teacher)
    renderer = open_renderer(
        sources, recipe, seed=config.seed, workers=config.workers, render=config.render, device=device
    )
    check_replays(recipe, train, config.seed)
    if recipe.functions and "test" in sources:
        check_replays(recipe, sources["test"], config.seed, plain=True)

    def admit(stored: Manifest) -> None:
        demand_exact(Reader(config.store, stored), renderer.rendering)

    with renderer, Writer.create_or_resume(config.store, manifest, admit=admit) as writer:
        pending = writer.pending()
        manifest = writer.manifest  # with the views that are there already
        progress.say(_announcement(config, manifest, sources, pending))
        write_witnesses(writer, renderer.rendering)
        for part, source in sources.items():
            writer.write_labels(part, source.labels())
        rows = sum(shard.stop - shard.start for shard in pending)
        if pending:
            rendered = _rendered(renderer, pending, config.batch_size)
            with progress.task("teacher", rows, "views") as advance:
                for shard in pending:
                    logits, pixel_digests = _shard(shard, rendered, teacher, advance)
                    _check_logits(logits, shard, train.classes)
                    writer.write(shard, logits, pixel_digests)
    return DumpResult(
        store=str(config.store),
        store_id=manifest.store_id,
        views=manifest.parts["train"].views,
        samples=len(train),
        computed_rows=rows,
        seconds=time.perf_counter() - started,
        bytes=sum(file.stat().st_size for file in config.store.rglob("*") if file.is_file()),
    )


def _parts(config: DumpConfig) -> dict[str, SourceSpec]:
    """The parts of the store: `train`, and `test` where the source has that split."""
    train = SourceSpec(data=config.data, root=config.root, split="train", decode=config.decode)
    both = {"train": train, "test": train.model_copy(update={"split": "test"})}
    return both if "test" in splits(train) else {"train": train}


def _rendered(renderer: Renderer, shards: list[Shard], batch_size: int) -> Iterator[Rendered]:
    """The pictures of all `shards`, batch by batch and ahead of the teacher; no batch crosses a shard's end."""
    requests = (
        Request(shard.part, np.arange(start, min(start + batch_size, shard.stop)), shard.view, digested=True)
        for shard in shards
        for start in range(shard.start, shard.stop, batch_size)
    )
    return renderer.ahead(renderer.views(requests))


def _shard(shard: Shard, rendered: Iterator[Rendered], teacher: Teacher, advance: Any) -> tuple[Tensor, Digests]:
    """The logits and pixel digests of one shard, from the next of the `rendered` batches."""
    logits: list[Tensor] = []
    pixel_digests: list[Digests] = []
    done = 0
    while done < shard.rows:
        batch = next(rendered)
        assert batch.digests is not None
        logits.append(teacher.logits(batch.pixels).cpu())
        pixel_digests.append(batch.digests)
        done += len(batch.pixels)
        advance(len(batch.pixels))
    return torch.cat(logits), np.concatenate(pixel_digests)


def _check_logits(logits: Tensor, shard: Shard, classes: int) -> None:
    if logits.shape[1] != classes:
        raise ModelError(f"The teacher gives {logits.shape[1]} logits per image; the data has {classes} classes.")
    bad = (~logits.isfinite()).any(1).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ModelError(
            f"The teacher gives {logits[row][~logits[row].isfinite()][0].item()} for {shard.part} sample "
            f"{shard.start + row}, view {shard.view} ({len(bad)} such rows in this shard). Check the checkpoint and "
            "--normalise; with --precision bf16 try float32. Finished shards are kept."
        )


def _manifest(config: DumpConfig, sources: dict[str, Source], recipe: Recipe, teacher: Teacher) -> Manifest:
    train = sources["train"]
    return new_manifest(
        samples={part: len(source) for part, source in sources.items()},
        fingerprints={part: source.fingerprint() for part, source in sources.items()},
        views=config.views,
        classes=train.classes,
        class_names=train.class_names,
        channels=train.channels,
        source_spec={"data": config.data if config.root else _place(config.data), "root": _place(config.root)},
        **_decoded(config, sources),
        recipe=recipe.to_json(),
        seed=config.seed,
        teacher={
            "name": teacher.name,
            "fingerprint": teacher.fingerprint,
            "checkpoint": str(config.checkpoint.resolve()),
            "normalise": teacher.normalise.model_dump(mode="json"),
            "precision": teacher.precision,
        },
        codec=make_codec(config.codec).to_json(),
        environment=describe_environment(teacher.device),
    )


def _decoded(config: DumpConfig, sources: dict[str, Source]) -> dict[str, Any]:
    """How files became pixels and which were left out; nothing where the source holds pixels."""
    if not is_tree(SourceSpec(data=config.data, root=config.root)):
        return {}
    how = sources["train"].spec.decode
    assert how is not None
    return {
        "decode": how.model_dump(mode="json"),
        "skipped": {part: source.spec.skipped for part, source in sources.items() if source.spec.skipped},
    }


def _place(name: str | None) -> str | None:
    """A path that means the same from every working directory; other names as they are."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name


def _announcement(config: DumpConfig, manifest: Manifest, sources: dict[str, Source], pending: list[Shard]) -> str:
    """What the dump will do, before it does it."""
    rows = sum(shard.stop - shard.start for shard in pending)
    if not pending:
        return f"{config.store} is complete ({manifest.store_id}); the teacher does not run."
    total = sum(part.views * part.samples for part in manifest.parts.values())
    width = make_codec(manifest.codec).bytes_per_row(manifest.classes)
    kept = "" if rows == total else f", {total - rows:,} rows are kept"
    test = f" + {len(sources['test']):,} test images" if "test" in sources else ""
    return (
        f"{config.teacher} over {manifest.parts['train'].views} views x {len(sources['train']):,} images{test}: "
        f"{rows:,} rows in {len(pending)} shards, {rows * width / 1e6:.1f} MB as {config.codec}{kept} -> {config.store}"
    )
