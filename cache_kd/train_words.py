"""What a training says of itself: before it starts, after each epoch and in its summary."""

import statistics
from typing import Any

from torch import nn

from cache_kd.device import describe_environment
from cache_kd.evaluate import Evaluation
from cache_kd.material import Material
from cache_kd.models.checkpoint import fingerprint
from cache_kd.objective import Objective
from cache_kd.order import HELD_WINDOWS
from cache_kd.provenance import Origin
from cache_kd.ranks import Ranks
from cache_kd.rundir import RunFolder
from cache_kd.state import Position
from cache_kd.train_config import TrainConfig


def summary(
    config: TrainConfig, material: Material, student: nn.Module, origin: Origin, run: RunFolder, ranks: Ranks
) -> dict[str, Any]:
    """What a finished run says: its figures, and everything they depend on."""
    epochs = [line for line in run.metrics() if "epoch" in line]
    accuracies = [line["accuracy"] for line in epochs if "accuracy" in line]
    return {
        "run": str(config.out),
        "student": config.student,
        "method": config.label,
        "composition": config.composition(),
        "teacher": _whence(config),
        "store_id": origin.store_id,
        "epochs": config.epochs,
        "seed": config.seed,
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "weights": fingerprint(student),
        "accuracy": accuracies[-1] if accuracies else None,
        "best_accuracy": max(accuracies, default=None),
        **({"ema_accuracy": epochs[-1]["ema"]["accuracy"]} if "ema" in epochs[-1] else {}),
        "agreement": epochs[-1].get("agreement"),
        "calibration_error": epochs[-1].get("calibration_error"),
        "seconds": sum(line["seconds"] for line in epochs),
        "seconds_per_epoch": statistics.median(line["seconds"] for line in epochs),
        "waiting": sum(line["waiting"] * line["seconds"] for line in epochs) / sum(line["seconds"] for line in epochs),
        "window": config.order.window,
        "pixels": _pixels(config, material),
        "processes": ranks.count,
        "environment": describe_environment(ranks.device),
    }


def _whence(config: TrainConfig) -> str:
    """Where the teacher's logits come from."""
    return "live" if config.live_teacher else "cached" if config.asks_a_teacher else "none"


def _pixels(config: TrainConfig, material: Material) -> dict[str, Any] | None:
    """How the pictures compared with the store's witnesses; None where nobody looked, or nothing is stored."""
    if config.check == "off" or not material.stores:
        return None
    return material.stores[0].verdict.to_json()


def announcement(
    config: TrainConfig,
    material: Material,
    student: nn.Module,
    objective: Objective,
    ranks: Ranks,
    at: Position,
) -> str:
    """What the run will do, before it does it."""
    parameters = sum(parameter.numel() for parameter in student.parameters())
    brought = sum(parameter.numel() for parameter in objective.learned.parameters())
    beside = f" + {brought:,} of {config.label}" if brought else ""
    views = "a new view every epoch" if material.views is None else f"{material.views} views"
    source = {"live": "live teacher", "cached": "cached logits", "none": "no teacher"}[_whence(config)]
    teachers = f"{config.teachers.fold} of {len(config.store)} teachers, {source}" if len(config.store) > 1 else source
    place = f"{ranks.count} x {ranks.device.type}" if ranks.count > 1 else str(ranks.device)
    courses = "".join(f"\n{name} over the epochs: {course}" for name, course in config.courses().items())
    logits = f"\n{_held(config, material)}" if _whence(config) == "cached" else ""
    return (
        f"{config.student} ({parameters:,}{beside} parameters) · {config.label} · {teachers} · "
        f"{len(material.source):,} samples, {views} · {config.epochs} epochs on {place}{_start(at)}{logits}{courses}"
        f"{_unreached(config)}"
        f"{_evaluation(material)}"
    )


def _start(at: Position) -> str:
    """Where a run goes on; nothing where it begins."""
    if at.step:
        return f", going on in epoch {at.epoch + 1} after {at.step} of its steps"
    return f", going on after epoch {at.epoch}" if at.epoch else ""


def _unreached(config: TrainConfig) -> str:
    """Milestones of a longer training; nothing where the schedule comes to all of them."""
    milestones = ", ".join(f"{milestone:g}" for milestone in config.schedule.unreached(config.epochs))
    if not milestones:
        return ""
    return (
        f"\nNot reached by epoch {config.epochs}, the last one: schedule.milestones {milestones}; the learning rate "
        "does not fall there. Move them with --set schedule.milestones=[...]."
    )


def _evaluation(material: Material) -> str:
    """What will not be measured; nothing where all is."""
    if material.test_source is None:
        return f"\nNothing will be evaluated: {material.untested}."
    if material.stores and not material.test_teachers:
        return (
            f"\nEvaluated on the {len(material.test_source):,} test images of {material.test_source.spec.data}; "
            f"{material.stores[0].reader.path} holds no logits of them, so agreement with the teacher is not measured."
        )
    return ""


def _held(config: TrainConfig, material: Material) -> str:
    """How much of the stored logits is in memory at a time."""
    part = material.stores[0].manifest.parts["train"]
    row_bytes = sum(store.sample_bytes for store in material.stores)
    view = row_bytes * part.samples / 1e9
    if not config.order.window:
        return f"logits: whole views of {view:.2g} GB in memory, all samples shuffled together"
    held = row_bytes * min(part.samples, HELD_WINDOWS * config.order.window * part.chunk_rows) / 1e9
    return (
        f"logits: views of {view:.2g} GB, read in windows of {config.order.window} chunks of {part.chunk_rows:,} rows, "
        f"up to {held:.2g} GB of each view in memory; "
        "samples are shuffled inside a window (--set order.window=0 shuffles all of them, in more memory)"
    )


def epoch_line(epoch: int, epochs: int, seconds: float, result: Evaluation | None, averaged: Evaluation | None) -> str:
    """How far the student has come."""
    figures = f" · accuracy {100 * result.accuracy:.2f} %" if result else ""
    if result and result.agreement is not None:
        figures += f" · agrees with the teacher on {100 * result.agreement:.2f} %"
    if averaged is not None:
        figures += f" · averaged weights {100 * averaged.accuracy:.2f} %"
    return f"epoch {epoch}/{epochs}{figures} · {seconds:.1f} s"
