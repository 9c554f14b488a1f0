"""What a student learns from, whether a store or plain images give it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cache_kd.errors import KdCacheError
from cache_kd.models.normalise import Normalise, make_normalise
from cache_kd.opened import OpenStore, open_store
from cache_kd.progress import Progress
from cache_kd.proof import Check
from cache_kd.rendering import Renderer, Rendering, RenderOn, Request, open_renderer
from cache_kd.selftest import check_replays
from cache_kd.siblings import demand_other_teachers, open_sibling
from cache_kd.sources.open import open_source, splits
from cache_kd.sources.source import Source, SourceSpec
from cache_kd.sources.usual import settled_recipe, usual_normalise
from cache_kd.stored import open_stored_source
from cache_kd.stream import ViewStream
from cache_kd.types import LogitArray
from cache_kd.views import Recipe, make_recipe

MEASURED_IMAGES = 10_000  # for the mean and std of unknown data: their standard error is then below 0.004


@dataclass(frozen=True, kw_only=True)
class Material:
    """Pictures, labels and, from a store, the teacher's logits.

    Attributes:
        source: the training images.
        recipe: how their views are made.
        renderer: gives the views of the part `train` and the plain pictures of `test`.
        normalise: what stands before the model.
        views: views per image; None where every epoch sees a new one.
        stream: batches of training views.
        test_source: the test images, where there are any.
        untested: why there are none.
        test_teachers: the logits of the plain test images, one per store that holds them.
        stores: where the logits came from; none for plain images.
    """

    source: Source
    recipe: Recipe
    renderer: Renderer
    normalise: Normalise
    views: int | None
    stream: ViewStream
    test_source: Source | None
    untested: str | None
    test_teachers: tuple[LogitArray, ...]
    stores: tuple[OpenStore, ...]


def from_stores(
    paths: Sequence[Path],
    *,
    data: str | None,
    root: str | None,
    trust: Sequence[str],
    check: Check,
    with_logits: bool,
    memory: int,
    workers: int | None,
    render: RenderOn,
    device: torch.device,
) -> Material:
    """Everything as the first of the stores says; the others are of other teachers over the same views.

    A store of imported logits holds none of test images: those of its data are taken, and compared with no teacher.

    Args:
        paths: at least one.
        data: only where the images moved.
        root: only where a torchvision data set moved.
        trust: functions named by the store that may be imported.
        check: how many rows' pixels are compared with the digests.
        with_logits: False for a live teacher.
        memory: bytes of encoded logits that the stores may keep, all of them together.
        workers: see `rendering.open_renderer`.
        render: likewise.
        device: where the model lives.

    Raises:
        KdCacheError: a store or its images cannot be opened, or do not belong together.
    """
    first = open_store(paths[0], data=data, root=root, trust=trust)
    stores = (first, *(open_sibling(path, first) for path in paths[1:]))
    demand_other_teachers([store.reader for store in stores])
    test_part = first.manifest.parts.get("test")
    test_teachers: tuple[LogitArray, ...] = ()
    untested: str | None = None
    if test_part is None:
        test_source, untested = _test_images_beside(first)
    else:
        test_source = open_stored_source(first.manifest, "test", path=paths[0], data=data, root=root, trust=trust)
        every_sample = np.arange(test_part.samples)
        test_teachers = tuple(store.reader.view("test", 0).rows(every_sample) for store in stores)
    sample_bytes = sum(store.sample_bytes for store in stores)
    shares = [memory * store.sample_bytes // sample_bytes for store in stores]
    teachers = tuple(store.teacher(share) for store, share in zip(stores, shares, strict=True)) if with_logits else ()
    renderer = open_renderer(
        _parts(first.source, test_source),
        first.recipe,
        seed=first.manifest.seed,
        workers=workers,
        render=render,
        device=device,
    )
    return Material(
        source=first.source,
        recipe=first.recipe,
        renderer=renderer,
        normalise=first.normalise,
        views=first.views,
        stream=first.stream(check=check, renderer=renderer, teachers=teachers, pin=device.type == "cuda"),
        test_source=test_source,
        untested=untested,
        test_teachers=test_teachers,
        stores=stores,
    )


def from_images(
    spec: SourceSpec,
    *,
    recipe: str | dict[str, Any] | None,
    normalise: str | dict[str, Any] | None,
    seed: int,
    workers: int | None,
    render: RenderOn,
    device: torch.device,
    progress: Progress,
) -> Material:
    """Images without a store; a new view of each in every epoch.

    Args:
        spec: of the training split.
        recipe: how views are made; None for the usual one of the data.
        normalise: a known name or means and stds; None takes the usual one of the data, else measures it.
        seed: of the views.
        workers: see `rendering.open_renderer`.
        render: likewise.
        device: where the model lives.
        progress: who watches while unreadable files are looked for.

    Raises:
        KdCacheError: the images cannot be opened, or there is no such recipe or normalisation.
    """
    present = splits(spec)  # first: where nothing is there, nothing else is said
    made = make_recipe(settled_recipe(recipe, spec, progress))
    source = open_source(spec, progress)
    test_spec = spec.model_copy(update={"split": "test"})
    test_source = open_source(test_spec, progress) if "test" in present else None
    parts = _parts(source, test_source)
    renderer = open_renderer(parts, made, seed=seed, workers=workers, render=render, device=device)
    check_replays(made, source, seed)
    return Material(
        source=source,
        recipe=made,
        renderer=renderer,
        normalise=_own_normalise(normalise, spec, source, progress),
        views=None,
        stream=ViewStream(renderer=renderer, pin=device.type == "cuda"),
        test_source=test_source,
        untested=None if test_source else f"{spec.data} has no test images",
        test_teachers=(),
        stores=(),
    )


def _test_images_beside(store: OpenStore) -> tuple[Source | None, str | None]:
    """The test images of the data that a store without any was made from, or why there are none."""
    data = store.source.spec.data
    spec = store.source.spec.model_copy(update={"split": "test", "skipped": ()})
    if "test" not in splits(spec):
        return None, f"neither {store.reader.path} nor {data} has test images; --data names both kinds in one place"
    try:
        source = open_source(spec)
        rendering = Rendering(sources={"test": source}, recipe=store.recipe, seed=store.manifest.seed)
        rendering(Request("test", np.arange(min(2, len(source))), 0))
    except KdCacheError as fault:
        # nobody asked for them: a student can do without
        return None, f"{store.reader.path} has no test images, and those of {data} cannot be shown: {fault}"
    return source, None


def measure_normalise(source: Source) -> Normalise:
    """Mean and standard deviation per channel over up to 10,000 evenly spaced images, rounded to 4 digits."""
    count = min(len(source), MEASURED_IMAGES)
    picked = np.unique(np.linspace(0, len(source) - 1, count).astype(np.int64))
    pixels, total, squares = 0, np.zeros(source.channels), np.zeros(source.channels)
    for block in np.array_split(picked, math.ceil(len(picked) / 512)):
        for picture in source.images(block):
            values = picture.reshape(-1, source.channels) / 255.0
            pixels += len(values)
            total += values.sum(0)
            squares += (values**2).sum(0)
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1e-6))  # images of one colour have no spread to divide by
    return Normalise(mean=tuple(np.round(mean, 4).tolist()), std=tuple(np.round(std, 4).tolist()))


def _parts(train: Source, test: Source | None) -> dict[str, Source]:
    return {"train": train} if test is None else {"train": train, "test": test}


def _own_normalise(
    asked: str | dict[str, Any] | None, spec: SourceSpec, source: Source, progress: Progress
) -> Normalise:
    if asked is not None:
        return make_normalise(asked, channels=source.channels)
    usual = usual_normalise(spec)
    if usual is None:
        progress.say("No --normalise is given: measured on the training images.")
        return measure_normalise(source)
    progress.say(f"No --normalise is given: {usual}, the usual one on this data.")
    return make_normalise(usual, channels=source.channels)
