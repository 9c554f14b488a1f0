"""The route from a recipe to a picture: what a dump would show the teacher of a few samples."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cache_kd.config import Config, canonical_json
from cache_kd.disk import mending
from cache_kd.errors import ConfigError, RunError
from cache_kd.files import write_whole
from cache_kd.keyed.feistel import permutation
from cache_kd.progress import Progress, Silent
from cache_kd.selftest import check_replays
from cache_kd.sheet_picture import Column, Picture
from cache_kd.sources import Source, SourceSpec, open_source
from cache_kd.sources.source import Decoding
from cache_kd.types import Samples, Views
from cache_kd.views import Recipe, make_recipe


class SheetConfig(Config):
    """A few samples of one source under one recipe; named as in a dump where a dump has the same."""

    recipe: str | dict[str, Any]
    data: str
    out: Path  # a PNG; a file there is replaced
    root: str | None = None
    decode: Decoding | None = None
    views: Annotated[int, Field(ge=1)] = 8  # of each sample, from view 0
    samples: Annotated[int, Field(ge=1)] = 6  # drawn from the training images
    seed: Annotated[int, Field(ge=0)] = 0  # of the views, and of what is drawn


def contact_sheet(config: SheetConfig, progress: Progress | None = None) -> Picture:
    """Write a PNG with one row per sample: the plain view, then view after view.

    Every tile holds exactly the pixels that a dump with this recipe and seed shows the teacher, enlarged by a whole
    factor where they are small. The recipe's JSON, the seed and the data are text entries of the PNG.

    Raises:
        KdCacheError: the recipe or the images cannot be used, a function of the user's does not replay, or the file
            cannot be written.
    """
    if config.out.suffix.lower() != ".png":
        name = config.out.with_suffix(".png")
        raise ConfigError(f"--out {config.out}: the sheet is a PNG, which keeps every pixel. Pass --out {name}.")
    recipe = make_recipe(config.recipe)
    spec = SourceSpec(data=config.data, root=config.root, split="train", decode=config.decode)
    source = open_source(spec, progress or Silent())
    if recipe.functions:
        check_replays(recipe, source, config.seed)
    chosen = permutation(config.seed, "sheet", len(source), 0)[: config.samples]
    named = zip(_classes(source, chosen), chosen.tolist(), strict=True)
    views = [_view(recipe, source, config.seed, chosen, view) for view in range(config.views)]
    picture = Picture(
        title=config.recipe if isinstance(config.recipe, str) else json.dumps(config.recipe),
        note=f"{config.data}, {len(source):,} training images, seed {config.seed}",
        labels=tuple((name, f"sample {sample}") for name, sample in named),
        columns=(_plain(recipe, source, chosen), *views),
    )
    said = {"recipe": canonical_json(recipe.to_json()), "seed": str(config.seed), "data": config.data}
    content = picture.png(said)
    with mending(config.out, RunError, option="--out", again="run the same command again"):
        config.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(config.out, content)
    return picture


def _plain(recipe: Recipe, source: Source, samples: Samples) -> Column:
    return _column("plain", recipe.evaluate(source.images(samples)))


def _view(recipe: Recipe, source: Source, seed: int, samples: Samples, view: int) -> Column:
    column = _column(f"view {view}", recipe.view(source, seed, samples, view).numpy())
    height, width = column.tiles[0].shape[:2]
    mixing = recipe.mixing(seed, samples, view, rows=len(source), height=height, width=width)
    if mixing is None:
        return column
    own, partners = (_classes(source, rows) for rows in (samples, mixing.partners))
    shares = zip(mixing.own.tolist(), own, partners, strict=True)
    return replace(
        column, captions=tuple((f"{share:.0%} {mine}", f"{1 - share:.0%} {other}") for share, mine, other in shares)
    )


def _classes(source: Source, samples: Samples) -> list[str]:
    return [source.class_names[label] for label in source.labels()[samples].tolist()]


def _column(name: str, views: Views) -> Column:
    height, width, channels = views.shape[1:]
    if channels not in (1, 3):
        raise ConfigError(f"A sheet shows grey or RGB images; these have {channels} channels.")
    return Column(head=f"{name}, {width}x{height}", tiles=tuple(views), captions=((),) * len(views))
