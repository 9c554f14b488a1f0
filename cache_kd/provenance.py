"""Where a student comes from: what its weights say of themselves from the first epoch on, and once it is finished."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from cache_kd import __version__
from cache_kd.config import Config
from cache_kd.material import Material
from cache_kd.models.teacher import Teacher
from cache_kd.rendering import Request
from cache_kd.rundir import RunFolder
from cache_kd.train_config import TrainConfig

Which = Literal["last", "ema"]  # the weights after the last step, or their running average


class TeacherOfStudent(Config):
    """Whose logits a student learned from."""

    name: str
    fingerprint: str  # of the weights
    store_id: str | None  # None: it was in memory, without a store


class Seen(Config):
    """What a run learns from, which is the same from its first step to its last."""

    store_id: str | None  # as `Origin` has it
    teachers: tuple[TeacherOfStudent, ...]
    recipe: dict[str, Any]
    normalise: dict[str, Any]
    labels: str  # a hash of them in their order: without a store nobody takes the fingerprint of the images


class Origin(Config):
    """What weights say of themselves while they are trained: enough to use them, and whom they learned from.

    Attributes:
        model: its name, as `kdcache train --student` takes it.
        classes: outputs.
        class_names: in the order of the outputs; None where the data have none.
        channels: of a picture.
        height: of the views that it was trained on, pixels; of the first view, where they differ.
        width: likewise.
        normalise: mean and standard deviation of each channel, for pixels scaled to 0..1.
        method: `rld`, `dkd+normkd`; None for cross-entropy.
        composition: the method with everything that is not its default.
        teachers: none for a model of its own.
        fold: how several of them became one.
        store_id: whose views it saw; several ids are joined by +.
        seed: of initialisation and order.
        epochs: that it is trained.
        ema_decay: of the running average that these weights are; None for the weights themselves.
    """

    model: str
    classes: int
    class_names: tuple[str, ...] | None
    channels: int
    height: int
    width: int
    normalise: dict[str, Any]
    method: str | None
    composition: dict[str, Any]
    teachers: tuple[TeacherOfStudent, ...]
    fold: str | None
    store_id: str | None
    seed: int
    epochs: int
    ema_decay: float | None = None


class Provenance(Origin):
    """What an exported student says of itself.

    Attributes:
        weights: which of the run's.
        fingerprint: of these weights.
        accuracy: on the test images, after the last epoch, 0 to 1; None without test images.
        best_accuracy: the highest after any epoch; chosen on the test images, and of other weights than these.
        cache_kd: the version that wrote this.
    """

    weights: Which
    fingerprint: str
    accuracy: float | None
    best_accuracy: float | None
    cache_kd: str = __version__


def origin_of(config: TrainConfig, material: Material, live: Sequence[Teacher]) -> Origin:
    """What the student of a run says of itself.

    Args:
        config: of the run.
        material: what it is trained on.
        live: the teachers in memory; none where they are asked of their stores, or not at all.
    """
    _, height, width, _ = material.renderer.rendering(Request("train", np.arange(2), 0)).pixels.shape
    return Origin(
        model=config.student,
        classes=material.source.classes,
        class_names=material.source.class_names,
        channels=material.source.channels,
        height=height,
        width=width,
        normalise=material.normalise.model_dump(mode="json"),
        method=config.label if config.base else None,
        composition=config.composition(),
        teachers=_teachers(config, material, live),
        fold=config.teachers.fold if len(config.store) > 1 and config.asks_a_teacher else None,
        store_id="+".join(store.manifest.store_id for store in material.stores) or None,
        seed=config.seed,
        epochs=config.epochs,
    )


def seen_by(origin: Origin, material: Material) -> Seen:
    """What the run learns from whose student is of this `origin`."""
    return Seen(
        store_id=origin.store_id,
        teachers=origin.teachers,
        recipe=material.recipe.to_json(),
        normalise=origin.normalise,
        labels=hashlib.sha256(material.source.labels().tobytes()).hexdigest()[:16],
    )


def store_id_of(run: RunFolder) -> str | None:
    """The store that a run has learned from so far; None where nothing of that is kept, or there was no store.

    Raises:
        RunError: the folder cannot be read.
    """
    summary = run.summary
    if summary is not None:
        found: str | None = summary["store_id"]
        return found
    said = run.state_words().get("seen")
    with run.readable():
        return Seen.model_validate_json(said).store_id if said is not None else None


def provenance_of(origin: Origin, run: RunFolder, *, weights: Which, fingerprint: str) -> Provenance:
    """What the student of a finished run says of itself.

    Args:
        origin: what these weights said while they were trained.
        run: its folder.
        weights: which of the run's.
        fingerprint: of those.
    """
    accuracies = _accuracies(run, weights)
    return Provenance(
        **dict(origin),
        weights=weights,
        fingerprint=fingerprint,
        accuracy=accuracies[-1] if accuracies else None,
        best_accuracy=max(accuracies, default=None),
    )


def _teachers(config: TrainConfig, material: Material, live: Sequence[Teacher]) -> tuple[TeacherOfStudent, ...]:
    if not config.asks_a_teacher:
        return ()
    if not material.stores:
        return tuple(
            TeacherOfStudent(name=teacher.name, fingerprint=teacher.fingerprint, store_id=None) for teacher in live
        )
    manifests = [store.manifest for store in material.stores]
    return tuple(
        TeacherOfStudent(
            name=manifest.teacher.name, fingerprint=manifest.teacher.fingerprint, store_id=manifest.store_id
        )
        for manifest in manifests
    )


def _accuracies(run: RunFolder, weights: Which) -> list[float]:
    """After each epoch, of these weights; none where there are no test images."""
    epochs = [line for line in run.metrics() if "epoch" in line]
    figures = [line.get("ema", {}) for line in epochs] if weights == "ema" else epochs
    return [each["accuracy"] for each in figures if "accuracy" in each]
