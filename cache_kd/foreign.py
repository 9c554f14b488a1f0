"""The route of logits that were made elsewhere: a file and some flags become a store that says what it cannot prove."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from cache_kd.asking import rendered_shards
from cache_kd.config import Config
from cache_kd.device import describe_environment
from cache_kd.errors import StoreMismatch
from cache_kd.exchange.import_store import ImportResult
from cache_kd.exchange.logits_file import LogitsFormat, read_logits
from cache_kd.files import lasting_place
from cache_kd.models.normalise import make_normalise
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Renderer, open_renderer
from cache_kd.sources.open import is_tree, open_source
from cache_kd.sources.source import Decoding, Source, SourceSpec
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, new_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer
from cache_kd.types import Digests, ViewedLogits
from cache_kd.views import Recipe, make_recipe
from cache_kd.witness import demand_exact, write_witnesses

BATCH_SIZE = 256  # pictures rendered at once


class ForeignConfig(Config):
    """Logits of the training images in the order of the source, and what their owner says of them."""

    logits: Path
    kind: LogitsFormat
    data: str
    teacher: str  # verify builds this model; any other name is only a name
    normalise: str | dict[str, Any]  # of the teacher, which a student takes over
    store: Path
    root: str | None = None
    decode: Decoding | None = None
    recipe: str | dict[str, Any] = "none"
    seed: Annotated[int, Field(ge=0)] = 0
    codec: str | dict[str, Any] = "float16"
    workers: Annotated[int, Field(ge=0)] | None = None


def import_logits(config: ForeignConfig, progress: Progress | None = None) -> ImportResult:
    """Make a store of a file of logits, with digests and witnesses of what the recipe renders here.

    Nobody can prove that the teacher saw these pictures: the manifest says so, and who opens the store is warned.
    An interrupted import goes on where it was.

    Raises:
        ModelError: the file does not hold logits, or one that the codec cannot keep.
        StoreMismatch: the logits are not of as many samples or classes as the data has, or the store is of others.
        KdCacheError: anything else that a user can mend.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    logits = read_logits(config.logits, config.kind)
    spec = SourceSpec(data=config.data, root=config.root, split="train", decode=config.decode)
    source = open_source(spec, progress)
    _demand_fit(config, logits, source)
    recipe = make_recipe(config.recipe)
    renderer = open_renderer({"train": source}, recipe, seed=config.seed, workers=config.workers)
    manifest = _manifest(config, logits, source, recipe)

    def admit(stored: Manifest) -> None:
        demand_exact(Reader(config.store, stored), renderer.rendering)

    with renderer, Writer.create_or_resume(config.store, manifest, admit=admit) as writer:
        pending = writer.pending()
        rows = sum(shard.rows for shard in pending)
        progress.say(f"{config.logits}: {rows:,} rows in {len(pending)} shards -> {config.store}")
        write_witnesses(writer, renderer.rendering)
        writer.write_labels("train", source.labels())
        with progress.task("import", rows, "rows") as advance:
            for shard, digests in _digested(renderer, writer.manifest, pending):
                samples = torch.tensor(writer.manifest.samples_of(shard))
                writer.write(shard, logits[shard.view, samples].float(), digests)
                advance(shard.rows)
    return ImportResult(
        store=str(config.store),
        store_id=manifest.store_id,
        views=manifest.parts["train"].views,
        samples=len(source),
        written_rows=rows,
        seconds=time.perf_counter() - started,
    )


def _demand_fit(config: ForeignConfig, logits: ViewedLogits, source: Source) -> None:
    _, samples, classes = logits.shape
    if (samples, classes) != (len(source), source.classes):
        raise StoreMismatch(
            f"{config.logits} has logits of {samples:,} samples and {classes} classes; {config.data} has "
            f"{len(source):,} training images of {source.classes} classes. Pass the data that the logits are of: "
            "row i of each view is sample i."
        )


def _manifest(config: ForeignConfig, logits: ViewedLogits, source: Source, recipe: Recipe) -> Manifest:
    decode = source.spec.decode if is_tree(source.spec) else None
    with config.logits.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return new_manifest(
        samples={"train": len(source)},
        fingerprints={"train": source.fingerprint()},
        views=len(logits),
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
        seed=config.seed,
        teacher={
            "name": config.teacher,
            "fingerprint": f"unknown, of the logits {content[:32]}",  # so that other logits are another store
            "checkpoint": "",
            "normalise": make_normalise(config.normalise, channels=source.channels).model_dump(mode="json"),
            "precision": "float32",
        },
        codec=make_codec(config.codec).to_json(),
        alignment="unproven",
        environment=describe_environment(torch.device("cpu")),
    )


def _digested(renderer: Renderer, manifest: Manifest, shards: list[Shard]) -> Iterator[tuple[Shard, Digests]]:
    """Each shard with the digests of the pixels that the recipe renders for it here."""
    rendered = rendered_shards(renderer, manifest, shards, BATCH_SIZE)
    for shard in shards:
        batches = [next(rendered).digests for _ in range(0, shard.rows, BATCH_SIZE)]
        yield shard, np.concatenate([digests for digests in batches if digests is not None])
