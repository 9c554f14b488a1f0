"""Writes a store of logits that were made elsewhere, with digests and witnesses of what its recipe renders here."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from cache_kd.asking import rendered_shards
from cache_kd.config import Config
from cache_kd.device import describe_environment
from cache_kd.exchange.import_store import ImportResult
from cache_kd.files import lasting_place
from cache_kd.models.normalise import make_normalise
from cache_kd.progress import Progress
from cache_kd.rendering import Renderer
from cache_kd.sources.open import is_tree, open_source
from cache_kd.sources.source import Decoding, Source, SourceSpec
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, new_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer
from cache_kd.types import Digests, Logits, RecordedTable, Samples
from cache_kd.views import Recipe
from cache_kd.witness import demand_exact, write_witnesses

BATCH_SIZE = 256  # pictures rendered at once

LogitsOf = Callable[[int, Samples], Logits]  # of some samples in one view, float32


class ImportConfig(Config):
    """What the owner of logits says of them, whatever file they are in."""

    logits: Path
    data: str
    teacher: str  # verify builds this model; any other name is only a name
    normalise: str | dict[str, Any]  # of the teacher, which a student takes over
    store: Path
    root: str | None = None
    decode: Decoding | None = None
    codec: str | dict[str, Any] = "float16"
    workers: Annotated[int, Field(ge=0)] | None = None


def open_images(config: ImportConfig, progress: Progress) -> Source:
    """The training images that the logits are of.

    Raises:
        KdCacheError: they cannot be opened.
    """
    return open_source(SourceSpec(data=config.data, root=config.root, split="train", decode=config.decode), progress)


def imported_manifest(
    config: ImportConfig, source: Source, recipe: Recipe, *, content: str, views: int, seed: int = 0, knobs: int = 0
) -> Manifest:
    """The manifest of a store of such logits: whatever they are of, nobody can prove it.

    Args:
        config: what their owner says.
        source: the images.
        recipe: how views are made here.
        content: what the logits are, so that others are another store.
        views: how many.
        seed: of the views.
        knobs: numbers that the store keeps for each view.

    Raises:
        ConfigError: a value does not fit.
    """
    decode = source.spec.decode if is_tree(source.spec) else None
    return new_manifest(
        samples={"train": len(source)},
        fingerprints={"train": source.fingerprint()},
        views=views,
        classes=source.classes,
        class_names=source.class_names,
        channels=source.channels,
        source_spec={
            "data": config.data if config.root else lasting_place(config.data),
            "root": lasting_place(config.root),
        },
        decode=decode.model_dump(mode="json") if decode else None,
        skipped={"train": source.spec.skipped} if source.spec.skipped else None,
        recipe=recipe.to_json(),
        seed=seed,
        teacher={
            "name": config.teacher,
            "fingerprint": f"unknown, of {content}",
            "checkpoint": "",
            "normalise": make_normalise(config.normalise, channels=source.channels).model_dump(mode="json"),
            "precision": "float32",
        },
        codec=make_codec(config.codec).resolved(classes=source.classes, features=None).to_json(),
        alignment="unproven",
        knobs=knobs,
        environment=describe_environment(torch.device("cpu")),
    )


def write_imported(
    config: ImportConfig,
    manifest: Manifest,
    renderer: Renderer,
    logits_of: LogitsOf,
    progress: Progress,
    *,
    recorded: RecordedTable | None = None,
) -> ImportResult:
    """Write the store, or what an interrupted import left of it.

    Args:
        config: where to.
        manifest: of the store.
        renderer: of its training images.
        logits_of: gives the logits.
        progress: who watches.
        recorded: the knobs that the recipe reads; written before anything is rendered.

    Raises:
        StoreMismatch: the store is of others, or its pixels are not these.
        KdCacheError: anything else that a user can mend.
    """
    started = time.perf_counter()
    source = renderer.rendering.sources["train"]

    def admit(stored: Manifest) -> None:
        demand_exact(Reader(config.store, stored), renderer.rendering)

    with renderer, Writer.create_or_resume(config.store, manifest, admit=admit) as writer:
        pending = writer.pending()
        rows = sum(shard.rows for shard in pending)
        progress.say(f"{config.logits}: {rows:,} rows in {len(pending)} shards -> {config.store}")
        for view, knobs in enumerate(recorded if recorded is not None else ()):
            writer.write_knobs(view, knobs)
        write_witnesses(writer, renderer.rendering)
        writer.write_labels("train", source.labels())
        with progress.task("import", rows, "rows") as advance:
            for shard, digests in _digested(renderer, writer.manifest, pending):
                writer.write(shard, logits_of(shard.view, writer.manifest.samples_of(shard)), digests)
                advance(shard.rows)
    return ImportResult(
        store=str(config.store),
        store_id=manifest.store_id,
        views=manifest.parts["train"].views,
        samples=len(source),
        written_rows=rows,
        seconds=time.perf_counter() - started,
    )


def _digested(renderer: Renderer, manifest: Manifest, shards: list[Shard]) -> Iterator[tuple[Shard, Digests]]:
    """Each shard with the digests of the pixels that the recipe renders for it here."""
    rendered = rendered_shards(renderer, manifest, shards, BATCH_SIZE)
    for shard in shards:
        batches = [next(rendered).digests for _ in range(0, shard.rows, BATCH_SIZE)]
        yield shard, np.concatenate([digests for digests in batches if digests is not None])
