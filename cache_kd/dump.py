"""The route of a teacher: its config, then read straight down from images to a store."""

import time
from pathlib import Path
from typing import Any

from pydantic import model_validator

from cache_kd.asking import ask, resolved_codec
from cache_kd.bucket.shared import SharedPlace, shared_place
from cache_kd.bucket.url import LocalPath, Place
from cache_kd.config import Config
from cache_kd.device import resolve_device
from cache_kd.models.teacher import Teacher
from cache_kd.outside import is_outside
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Rendering, open_renderer
from cache_kd.selftest import check_replays
from cache_kd.sources.open import open_source, splits
from cache_kd.sources.source import Source, SourceSpec
from cache_kd.sources.usual import settled_recipe
from cache_kd.store.catalog import bytes_on_disk, place_for
from cache_kd.store.codec import Codec, make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest, new_manifest
from cache_kd.store.reader import Reader
from cache_kd.teacher_config import TeacherConfig
from cache_kd.views import Recipe, make_recipe
from cache_kd.waiting import writer_in_turn
from cache_kd.witness import demand_exact, write_witnesses
from cache_kd.writing import write_taught


class DumpConfig(TeacherConfig):
    """One teacher over the views of one source, and where its logits go."""

    store: LocalPath | None = None  # where to write; or instead
    catalog: Place | None = None  # a folder or a bucket of stores, of which one may hold it all already
    codec: str | dict[str, Any] = "float16"
    wait: bool = True  # for another dump that writes to the same store; False refuses at once

    @model_validator(mode="after")
    def _one_place(self) -> "DumpConfig":
        if self.store is not None and self.catalog is not None:
            raise ValueError(
                f"--store {self.store} and --catalog {self.catalog} exclude each other: the one names the store, "
                "the other the folder where it is looked for and put. Leave one out"
            )
        if self.store is None and self.catalog is None:
            raise ValueError("neither --store PATH nor --catalog ROOT says where to write. Pass one of them")
        return self


class DumpResult(Config):
    """What a dump did, for scripts."""

    store: str
    store_id: str
    views: int
    samples: int
    computed_rows: int  # 0: the store was there already, the teacher did not run
    seconds: float
    bytes: int
    functions: tuple[str, ...] = ()  # package.module:function, of images and views; whoever trains has to trust them


def dump(config: DumpConfig, progress: Progress | None = None) -> DumpResult:
    """Store the teacher's raw logits over the views of the training images, and over the plain test images.

    Whatever an earlier, interrupted dump finished is kept; a complete store costs nothing. With a `catalog` any store
    there that holds the same numbers is this dump's: complete, to grow or to finish. One in a bucket is fetched before
    it grows, and what is dumped is uploaded.

    Raises:
        StoreMismatch: the path holds another teacher, source, recipe, seed or codec, or its pixels are not these.
        StoreBusy: another dump writes there, and it was not to be waited for.
        KdCacheError: anything else that a user can mend.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    device = resolve_device(config.device)
    parts = _parts(config)
    recipe = make_recipe(settled_recipe(config.recipe, parts["train"], progress))
    sources = {part: open_source(spec, progress) for part, spec in parts.items()}
    train = sources["train"]
    teacher = config.open_teacher(train, device, progress)
    rendering = Rendering(sources=sources, recipe=recipe, seed=config.seed)
    codec = resolved_codec(make_codec(config.codec), teacher, rendering)
    manifest = _manifest(config, sources, recipe, teacher, codec)
    shared = shared_place(config.catalog, manifest) if isinstance(config.catalog, str) else None
    if shared and (hit := shared.hit(manifest)):
        progress.say(f"{shared.url} is complete ({hit.manifest.store_id}); the teacher does not run.")
        return _result(config, recipe, hit.manifest, shared.url, hit.bytes, started)
    place = _place(config, manifest, shared, progress)
    renderer = open_renderer(
        sources, recipe, seed=config.seed, workers=config.workers, render=config.render, device=device
    )
    check_replays(recipe, train, config.seed)
    if recipe.functions and "test" in sources:
        check_replays(recipe, sources["test"], config.seed, plain=True)

    def admit(stored: Manifest) -> None:
        demand_exact(Reader(place, stored), renderer.rendering, device)

    with (
        renderer,
        writer_in_turn(place, manifest, admit=admit, wait=config.wait, progress=progress) as writer,
    ):
        pending = writer.pending()
        manifest = writer.manifest  # with the views that are there already
        progress.say(_announcement(config, place, manifest, sources, pending))
        write_witnesses(writer, renderer.rendering)
        for part, source in sources.items():
            writer.write_labels(part, source.labels())
        rows = sum(shard.stop - shard.start for shard in pending)
        if pending:
            with progress.task("teacher", rows, "views") as advance:
                write_taught(
                    writer, ask(teacher, renderer, manifest, pending, batch_size=config.batch_size, advance=advance)
                )
    if shared:
        shared.publish(progress)
    where = shared.url if shared else str(place)
    return _result(config, recipe, manifest, where, bytes_on_disk(place), started, computed_rows=rows)


def _place(config: DumpConfig, manifest: Manifest, shared: SharedPlace | None, progress: Progress) -> Path:
    """The folder that the dump writes to."""
    if shared:
        return shared.fetch(progress)
    return config.store or place_for(Path(config.catalog or ""), manifest)


def _result(
    config: DumpConfig,
    recipe: Recipe,
    manifest: Manifest,
    where: str,
    size: int,
    started: float,
    *,
    computed_rows: int = 0,
) -> DumpResult:
    train = manifest.parts["train"]
    return DumpResult(
        store=where,
        store_id=manifest.store_id,
        views=train.views,
        samples=train.samples,
        computed_rows=computed_rows,
        seconds=time.perf_counter() - started,
        bytes=size,
        functions=tuple(filter(is_outside, (config.data, *recipe.functions))),
    )


def _parts(config: DumpConfig) -> dict[str, SourceSpec]:
    """The parts of the store: `train`, and `test` where the source has that split."""
    train = config.train_spec
    both = {"train": train, "test": train.model_copy(update={"split": "test"})}
    return both if "test" in splits(train) else {"train": train}


def _manifest(
    config: DumpConfig, sources: dict[str, Source], recipe: Recipe, teacher: Teacher, codec: Codec
) -> Manifest:
    return new_manifest(
        samples={part: len(source) for part, source in sources.items()},
        fingerprints={part: source.fingerprint() for part, source in sources.items()},
        views=config.views,
        classes=sources["train"].classes,
        codec=codec.to_json(),
        **config.manifest_words(sources, recipe, teacher),
    )


def _announcement(
    config: DumpConfig, place: Path, manifest: Manifest, sources: dict[str, Source], pending: list[Shard]
) -> str:
    """What the dump will do, before it does it."""
    rows = sum(shard.stop - shard.start for shard in pending)
    if not pending:
        return f"{place} is complete ({manifest.store_id}); the teacher does not run."
    total = sum(part.views * part.samples for part in manifest.parts.values())
    width = make_codec(manifest.codec).bytes_per_row(manifest.classes)
    kept = "" if rows == total else f", {total - rows:,} rows are kept"
    test = f" + {len(sources['test']):,} test images" if "test" in sources else ""
    return (
        f"{config.teacher} over {manifest.parts['train'].views} views x {len(sources['train']):,} images{test}: "
        f"{rows:,} rows in {len(pending)} shards, {rows * width / 1e6:.1f} MB as {manifest.codec['name']}{kept} "
        f"-> {place}"
    )
