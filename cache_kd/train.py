"""The route of a student: read straight down from views and logits to a run folder."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import nn

from cache_kd.average import WeightAverage
from cache_kd.material import Material
from cache_kd.models.zoo import build as build_model
from cache_kd.objective import Objective
from cache_kd.optimiser import Optimiser as Optimiser
from cache_kd.optimiser import make_optimiser
from cache_kd.peak_memory import forget_peak, peak_bytes
from cache_kd.progress import Progress, Silent
from cache_kd.provenance import origin_of, seen_by
from cache_kd.ranks import Ranks, open_ranks
from cache_kd.recorder import Recorder, recording
from cache_kd.rendering import Request
from cache_kd.state import Position, State
from cache_kd.step import Outcome, Step, check_method, fewest_samples
from cache_kd.stopping import Stop, hearing
from cache_kd.stream import Batch
from cache_kd.synced_norm import synchronise
from cache_kd.temperatures import temperatures_of
from cache_kd.train_config import Data as Data
from cache_kd.train_config import LiveTeacher as LiveTeacher
from cache_kd.train_config import TrainConfig as TrainConfig
from cache_kd.train_config import resumed_config as resumed_config
from cache_kd.train_data import (
    check_labels,
    check_views,
    epoch_order,
    open_material,
    own_samples,
    settled,
    views_of_epoch,
)
from cache_kd.train_faithful import demand_faithful_stores
from cache_kd.train_figures import averaged_figures, diverged, figures_of
from cache_kd.train_teachers import TeacherLogits
from cache_kd.train_words import announcement, epoch_line, summary
from cache_kd.trial import SAMPLES, demand_logits, demand_training
from cache_kd.types import Images


def train(config: TrainConfig, *, resume: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Train one student and leave a run folder at `config.out`; the summary.

    Under torchrun every process calls this, and together they train the one student; the first writes and speaks.

    Args:
        config: of the run; on resume the one that the folder holds.
        resume: go on in `config.out` from where its state was saved last.
        progress: who watches.

    Raises:
        KdCacheError: anything that a user can mend, before the first step where possible.
        KeyboardInterrupt: somebody asked for an end; the state after the last step is saved.
    """
    config.validate_over(config.epochs)
    ranks = open_ranks(config.device, config.precision)
    check_method(config, ranks)
    progress = progress if progress is not None and ranks.first else Silent()
    material = open_material(config, ranks.device, progress)
    check_labels(config, material)
    teachers = TeacherLogits(config, material, ranks.device)
    origin = origin_of(config, material, teachers.live)
    cosines = demand_faithful_stores(config, material, progress)
    with (
        material.renderer,
        torch.random.fork_rng(devices=[ranks.device] if ranks.device.type == "cuda" else []),
        ranks.depending_on_each_other(f"Go on with --resume {config.out}."),
        hearing() as stop,
        ExitStack() as at_end,
    ):
        torch.manual_seed(config.seed)
        student = _student(config, material, ranks)
        example = _example(config, material, ranks)
        demand_logits(student, config.student, example, material.source.classes)
        objective = Objective(config, student, example, material.source.classes)
        config = settled(config, objective, material)
        check_views(config, objective, material, ranks)
        if ranks.count > 1 and config.sync_batch_norm:
            synchronise(objective.passes, ranks.device)
        _try_training(config, objective, material, ranks)
        if config.compile:
            student.compile()
        every = [*student.parameters(), *objective.learned.parameters()]
        optimiser = make_optimiser(config.optimiser, every, numbers=objective.roles)
        step = Step(config, objective, optimiser, material.normalise, ranks)
        average = WeightAverage(student, config.ema_decay) if config.ema_decay else None
        state = State(student, objective.learned, optimiser, average, ranks.fabric.strategy.precision)
        recorder = at_end.enter_context(recording(config, resume, state, seen_by(origin, material), ranks, progress))
        at = recorder.restore()
        run = _Run(config, student, objective, optimiser, step, average, material, teachers, ranks, recorder)
        progress.say(announcement(config, material, student, objective, ranks, at))
        for epoch in range(at.epoch, config.epochs):
            objective.start_epoch(epoch + 1)
            forget_peak(ranks.device)
            at = _train_epoch(run, at, stop, progress)
            figures = figures_of(config, student, material, ranks)
            averaged = averaged_figures(config, student, average, material, ranks)
            steps = (epoch + 1) * run.steps_per_epoch
            recorder.log(
                steps,
                epoch=epoch + 1,
                seconds=at.seconds,
                waiting=at.waited / at.seconds,
                peak_bytes=peak_bytes(ranks.device),
                **(figures.model_dump() if figures else {}),
                **({"ema": averaged.model_dump()} if averaged else {}),
            )
            # before the state: who goes on from an older state writes these weights again
            recorder.save_weights(student, average, origin)
            recorder.save(Position(epoch=epoch + 1), steps)
            progress.say(epoch_line(epoch + 1, config.epochs, at.seconds, figures, averaged))
            at = Position(epoch=epoch + 1)
        return recorder.finish(
            lambda folder: {**summary(config, material, student, origin, folder, ranks), "gradient_cosine": cosines}
        )


@dataclass(frozen=True)
class _Run:
    """What all epochs of a run share."""

    config: TrainConfig
    student: nn.Module
    objective: Objective
    optimiser: torch.optim.Optimizer
    step: Step
    average: WeightAverage | None
    material: Material
    teachers: TeacherLogits
    ranks: Ranks
    recorder: Recorder

    @property
    def steps_per_epoch(self) -> int:
        """The same for every epoch."""
        return -(-len(self.material.source) // self.config.batch_size)


def _train_epoch(run: _Run, at: Position, stop: Stop, progress: Progress) -> Position:
    """The steps of an epoch from `at` on; where the run stands after the last of them."""
    config, material, device, epoch = run.config, run.material, run.ranks.device, at.epoch
    views = views_of_epoch(config, run.objective, material, epoch)
    order = epoch_order(config, material, run.ranks, epoch, views[0])
    waiting, started = Stopwatch(), time.perf_counter()
    run.student.train()
    run.objective.learned.train()
    with progress.task(f"epoch {epoch + 1}/{config.epochs}", len(material.source), "images") as advance:
        advance(min(at.step * config.batch_size, len(material.source)))
        batches = material.stream.batches(own_samples(order, at.step), views, order.windows)
        for step, batch in enumerate(waiting.around(batches), start=at.step):
            position, global_step = epoch + step / len(order), epoch * len(order) + step
            samples = min(config.batch_size, len(material.source) - step * config.batch_size)
            for group in run.optimiser.param_groups:
                group["lr"] = config.optimiser.lr * config.schedule.factor(position, config.epochs)
            labels = batch.labels.to(device, non_blocking=True)
            pixels = [of_one_size.to(device, non_blocking=True) for of_one_size in batch.pixels]
            teacher = run.teachers.logits(batch, pixels, global_step)
            outcome = run.step(pixels, teacher, labels, samples=samples, views=len(views))
            if run.average is not None:
                run.average.update(global_step + 1)
            if global_step % config.log_steps == 0 or step == len(order) - 1:
                _log(run, outcome, epoch, step, position, global_step)
            advance(samples)
            seconds = at.seconds + time.perf_counter() - started
            here = Position(epoch=epoch, step=step + 1, seconds=seconds, waited=at.waited + waiting.seconds)
            run.recorder.after_step(here, global_step + 1, stop)
    seconds = at.seconds + time.perf_counter() - started
    return Position(epoch=epoch, step=len(order), seconds=seconds, waited=at.waited + waiting.seconds)


def _log(run: _Run, outcome: Outcome, epoch: int, step: int, position: float, global_step: int) -> None:
    values = {name: value.item() for name, value in outcome.loss.items()}
    _check_finite(values, epoch, step)
    taus = temperatures_of(run.objective.method, outcome.seen, outcome.teacher, outcome.labels)
    run.recorder.log(
        global_step, step=global_step, position=position, lr=run.optimiser.param_groups[0]["lr"], **values, **taus
    )


def _student(config: TrainConfig, material: Material, ranks: Ranks) -> nn.Module:
    """The student as it starts: the same on every rank, but for what its dropout will draw."""
    student = build_model(config.student, classes=material.source.classes, channels=material.source.channels)
    student.to(ranks.device)
    if config.channels_last:
        student.to(memory_format=torch.channels_last)
    if not ranks.first:
        torch.manual_seed((config.seed + (ranks.rank << 32)) % 2**64)
    return student


def _example(config: TrainConfig, material: Material, ranks: Ranks, view: int = 0) -> Images:
    """A normalised view of two samples, to see what passes through a student."""
    pixels = material.renderer.rendering(Request("train", np.arange(SAMPLES), view)).pixels
    return material.normalise(pixels.to(ranks.device), channels_last=config.channels_last)


def _try_training(config: TrainConfig, objective: Objective, material: Material, ranks: Ranks) -> None:
    """Show the student two samples as a batch shows them, before there is a run folder."""
    views = [_example(config, material, ranks, view) for view in views_of_epoch(config, objective, material, 0)]
    with ranks.fabric.autocast():
        demand_training(
            objective.passes.student,
            objective.passes,
            config.student,
            [torch.cat(list(run)) for _, run in groupby(views, key=lambda each: each.shape)],
            material.source.classes,
            fewest=fewest_samples(config, len(material.source), ranks),
        )


def _check_finite(values: dict[str, float], epoch: int, step: int) -> None:
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        shown = ", ".join(f"{name} = {value}" for name, value in broken.items())
        raise diverged(f"Epoch {epoch + 1}, step {step}: {shown}")


class Stopwatch:
    """Adds up the time that a loop waits for its next item."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, batches: Iterator[Batch], clock: Callable[[], float] = time.perf_counter) -> Iterator[Batch]:
        """The same batches, the waiting for each of them timed."""
        while True:
            asked = clock()
            batch = next(batches, None)
            self.seconds += clock() - asked
            if batch is None:
                return
            yield batch
