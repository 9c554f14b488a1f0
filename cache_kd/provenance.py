"""Where a student comes from: its run, and what that run's stores or images still say of teachers and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from cache_kd import __version__
from cache_kd.config import Config
from cache_kd.errors import KdCacheError, RunError, StoreError, StoreMismatch
from cache_kd.progress import Progress, Silent
from cache_kd.rundir import RunFolder
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.sources.usual import settled_recipe
from cache_kd.store.reader import Reader
from cache_kd.train_config import TrainConfig
from cache_kd.views import make_recipe

Which = Literal["last", "ema"]  # the weights after the last step, or their running average


class TeacherOfStudent(Config):
    """Whose logits a student learned from."""

    name: str | None
    fingerprint: str | None  # of the weights
    store_id: str | None  # None: it was in memory, without a store


class Provenance(Config):
    """What an exported student says of itself; None is what nobody knows any more.

    Attributes:
        model: its name, as `kdcache train --student` takes it.
        classes: outputs.
        class_names: in the order of the outputs.
        channels: of a picture.
        height: of the views that it was trained on, pixels.
        width: likewise.
        normalise: mean and standard deviation of each channel, for pixels scaled to 0..1.
        method: `rld`, `dkd+normkd`; None for cross-entropy.
        composition: the method with everything that is not its default.
        teachers: none for a model of its own.
        fold: how several of them became one.
        store_id: whose views it saw; several ids are joined by +.
        seed: of initialisation and order.
        epochs: that it was trained.
        weights: which of the run's.
        fingerprint: of these weights.
        accuracy: on the test images, after the last epoch, 0 to 1.
        best_accuracy: the highest after any epoch; chosen on the test images, and of other weights than these.
        cache_kd: the version that wrote this.
    """

    model: str
    classes: int
    class_names: tuple[str, ...] | None
    channels: int
    height: int | None
    width: int | None
    normalise: dict[str, Any]
    method: str | None
    composition: dict[str, Any]
    teachers: tuple[TeacherOfStudent, ...]
    fold: str | None
    store_id: str | None
    seed: int
    epochs: int
    weights: Which
    fingerprint: str
    accuracy: float | None
    best_accuracy: float | None
    cache_kd: str = __version__


class Seen(NamedTuple):
    """What the stores or images of a run say."""

    class_names: tuple[str, ...] | None = None
    height: int | None = None
    width: int | None = None
    teachers: tuple[TeacherOfStudent, ...] = ()


def trace(
    run: RunFolder,
    config: TrainConfig,
    about: Mapping[str, Any],
    *,
    weights: Which,
    fingerprint: str,
    stores: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Provenance:
    """All that is known of the student of a finished run.

    Args:
        run: the finished run.
        config: its configuration.
        about: what its weights say of themselves.
        weights: which of them.
        fingerprint: of those.
        stores: where the run's stores are now, in their order; none: where they were.
        progress: who is told what nobody knows any more.

    Raises:
        RunError: there are another number of `stores` than the run had.
        StoreMismatch: where one of the run's stores was, there is another.
    """
    progress = progress or Silent()
    if stores and len(stores) != len(config.store):
        raise RunError(f"{run.path} was trained from {len(config.store)} store(s); --store names {len(stores)}.")
    seen = (
        _seen_in_stores(stores or config.store, about["store_id"], progress)
        if config.store
        else _seen_in_images(config, progress)
    )
    accuracies = _accuracies(run, weights)
    return Provenance(
        model=about["model"],
        classes=about["classes"],
        class_names=seen.class_names,
        channels=about["channels"],
        height=seen.height,
        width=seen.width,
        normalise=about["normalise"],
        method=about["method"],
        composition=about["composition"],
        teachers=_teachers(config, seen),
        fold=config.teachers.fold if len(config.store) > 1 and config.asks_a_teacher else None,
        store_id=about["store_id"],
        seed=about["seed"],
        epochs=about["epochs"],
        weights=weights,
        fingerprint=fingerprint,
        accuracy=accuracies[-1] if accuracies else None,
        best_accuracy=max(accuracies, default=None),
    )


def _teachers(config: TrainConfig, seen: Seen) -> tuple[TeacherOfStudent, ...]:
    if not config.asks_a_teacher:
        return ()
    if config.live_teacher is not None and not config.store:
        return (TeacherOfStudent(name=config.live_teacher.name, fingerprint=None, store_id=None),)
    return seen.teachers


def _accuracies(run: RunFolder, weights: Which) -> list[float]:
    """After each epoch, of these weights; none where there are no test images."""
    epochs = [line for line in run.metrics() if "epoch" in line]
    figures = [line.get("ema", {}) for line in epochs] if weights == "ema" else epochs
    return [each["accuracy"] for each in figures if "accuracy" in each]


def _seen_in_stores(paths: Sequence[Path], ids: str, progress: Progress) -> Seen:
    every = [_seen_in_store(path, id_, progress) for path, id_ in zip(paths, ids.split("+"), strict=True)]
    known = next((seen for seen in every if seen.height is not None), Seen())
    return known._replace(teachers=tuple(teacher for seen in every for teacher in seen.teachers))


def _seen_in_store(path: Path, store_id: str, progress: Progress) -> Seen:
    try:
        reader = Reader.examine(path)
        height, width = reader.witnesses(0).shape[1:3]
    except StoreError as fault:
        progress.say(
            f"The name of the teacher, the classes' names and the pictures' size are left out: {fault} "
            "If the store moved, pass --store with where it is."
        )
        return Seen(teachers=(TeacherOfStudent(name=None, fingerprint=None, store_id=store_id),))
    manifest = reader.manifest
    if manifest.store_id != store_id:
        raise StoreMismatch(
            f"{path} is the store {manifest.store_id}; the run was trained from {store_id}. "
            "Pass --store with where that is."
        )
    teacher = manifest.teacher
    return Seen(
        class_names=manifest.source.class_names,
        height=height,
        width=width,
        teachers=(TeacherOfStudent(name=teacher.name, fingerprint=teacher.fingerprint, store_id=store_id),),
    )


def _seen_in_images(config: TrainConfig, progress: Progress) -> Seen:
    data = config.data
    assert data.data is not None
    spec = SourceSpec(data=data.data, root=data.root, split="train", decode=data.decode)
    try:
        source = open_source(spec)
        recipe = make_recipe(settled_recipe(data.recipe, spec, Silent()))
        _, height, width, _ = recipe.view(source, config.seed, np.zeros(1, np.int64), 0).shape
    except KdCacheError as fault:
        progress.say(f"The classes' names and the pictures' size are left out: {fault}")
        return Seen()
    return Seen(class_names=source.class_names, height=height, width=width)
