"""The route of a student: read straight down from views and logits to a run folder."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cache_kd.device import computing, resolve_device
from cache_kd.distill.fold import Fold, fold
from cache_kd.distill.loss import refuse_mixed
from cache_kd.errors import ConfigError, RunError, StoreMismatch
from cache_kd.evaluate import Evaluation, evaluate, predict
from cache_kd.keyed.philox import unit, words
from cache_kd.material import Material, from_images, from_stores
from cache_kd.models.teacher import Teacher, load_teacher
from cache_kd.models.zoo import build as build_model
from cache_kd.objective import Objective
from cache_kd.order import EpochOrder
from cache_kd.peak_memory import forget_peak, peak_bytes
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Request
from cache_kd.rundir import RunFolder
from cache_kd.sources.source import SourceSpec
from cache_kd.stored import open_stored_teacher
from cache_kd.stream import Batch
from cache_kd.temperatures import temperatures_of
from cache_kd.train_config import Data as Data
from cache_kd.train_config import LiveTeacher as LiveTeacher
from cache_kd.train_config import Optimiser as Optimiser
from cache_kd.train_config import Teachers as Teachers
from cache_kd.train_config import TrainConfig as TrainConfig
from cache_kd.train_config import resumed_config as resumed_config
from cache_kd.train_faithful import demand_faithful_stores
from cache_kd.train_words import about, announcement, epoch_line, summary
from cache_kd.types import AnyViews, LabelArray, LogitArray, Logits
from cache_kd.view_schedule import views_of

LOG_EVERY = 50  # steps between two lines in metrics.jsonl; each costs one wait for the device


def train(config: TrainConfig, *, resume: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Train one student and leave a run folder at `config.out`; the summary.

    Args:
        config: of the run; on resume the one that the folder holds.
        resume: go on after the last finished epoch of `config.out`.
        progress: who watches.

    Raises:
        KdCacheError: anything that a user can mend, before the first step where possible.
    """
    progress = progress or Silent()
    config.validate_over(config.epochs)
    device = resolve_device(config.device)
    material = _material(config, device, progress)
    teachers = _live_teachers(config, material, device)
    cosines = demand_faithful_stores(config, material, progress)
    with material.renderer, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        student = build_model(config.student, classes=material.source.classes, channels=material.source.channels)
        student = student.to(device).to(memory_format=torch.channels_last)
        objective = Objective(config, student, _example(material, device), material.source.classes)
        config = _with_window(config, objective, material)
        _check_views(config, objective, material)
        run = _run_folder(config, resume)
        parameters = [*student.parameters(), *objective.learned.parameters()]
        optimiser = _optimiser(parameters, config.optimiser)
        first_epoch = run.restore(student, objective.learned, optimiser) if resume else 0
        progress.say(announcement(config, material, student, objective, device, first_epoch))
        for epoch in range(first_epoch, config.epochs):
            started = time.perf_counter()
            objective.start_epoch(epoch + 1)
            forget_peak(device)
            waited = _train_epoch(
                config, epoch, student, objective, optimiser, material, teachers, run, device, progress
            )
            seconds, peak = time.perf_counter() - started, peak_bytes(device)
            figures = _evaluate(config, student, material, device)
            line = figures.model_dump() if figures else {}
            run.log(epoch=epoch + 1, seconds=seconds, waiting=waited / seconds, peak_bytes=peak, **line)
            run.save(student, objective.learned, optimiser, epoch=epoch + 1, about=about(config, material))
            progress.say(epoch_line(epoch + 1, config.epochs, seconds, figures))
    result = {**summary(config, material, student, run, device), "gradient_cosine": cosines}
    run.finish(result)
    return result


def _train_epoch(
    config: TrainConfig,
    epoch: int,
    student: nn.Module,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    material: Material,
    teachers: list[Teacher],
    run: RunFolder,
    device: torch.device,
    progress: Progress,
) -> float:
    """One pass over the samples; the seconds that the step waited for its batch."""
    views = views_of(
        config.view_schedule,
        epoch,
        _views_per_batch(config, objective),
        material.views,
        epochs=config.epochs,
        seed=config.seed,
    )
    order = _order(config, material, epoch, views[0])
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    waiting = Stopwatch()
    student.train()
    objective.learned.train()
    with progress.task(f"epoch {epoch + 1}/{config.epochs}", len(material.source), "images") as advance:
        for step, batch in enumerate(waiting.around(material.stream.batches(order.batches(), views, order.windows))):
            position, global_step = epoch + step / len(order), epoch * len(order) + step
            for group in optimiser.param_groups:
                group["lr"] = config.optimiser.lr * config.schedule.factor(position, config.epochs)
            labels = batch.labels.to(device, non_blocking=True)
            pixels = [of_one_size.to(device, non_blocking=True) for of_one_size in batch.pixels]
            target = _folded(config, _teacher_logits(batch, pixels, teachers, device), global_step)
            with computing(device, config.precision):
                logits, seen = objective.logits([material.normalise(of_one_size) for of_one_size in pixels])
            loss = objective.loss(logits.float(), seen.float(), target, labels)
            optimiser.zero_grad(set_to_none=True)
            objective.backward(loss, parameters)
            optimiser.step()
            if global_step % LOG_EVERY == 0 or step == len(order) - 1:
                values = {name: value.item() for name, value in loss.values().items()}
                _check_finite(values, epoch, step)
                taus = temperatures_of(objective.method, seen, target, labels)
                run.log(step=global_step, position=position, lr=optimiser.param_groups[0]["lr"], **values, **taus)
            advance(len(batch.samples))
    return waiting.seconds


def _views_per_batch(config: TrainConfig, objective: Objective) -> int:
    return max(config.views_per_batch, objective.views)


def _order(config: TrainConfig, material: Material, epoch: int, view: int) -> EpochOrder:
    """The samples of an epoch; what mixes with each other in `view` shares a batch."""
    samples = len(material.source)
    return EpochOrder(
        samples=samples,
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=epoch,
        chunk_rows=material.stores[0].manifest.parts["train"].chunk_rows if material.stores else 0,
        rows=material.stores[0].manifest.row_order("train") if material.stores else None,
        window=config.order.window or 0,
        pairs=material.recipe.pairs(material.renderer.rendering.seed, samples, view),
    )


def _with_window(config: TrainConfig, objective: Objective, material: Material) -> TrainConfig:
    """The configuration with a number of chunks in a window, which a run that is resumed takes over.

    The stores decide it whether their logits are read or not: a live teacher's batches are the same ones.
    """
    if not material.stores:
        return config
    part = material.stores[0].manifest.parts["train"]
    window = config.order.window_of(
        samples=part.samples,
        chunk_rows=part.chunk_rows,
        sample_bytes=_views_per_batch(config, objective) * sum(store.sample_bytes for store in material.stores),
    )
    orders = [store.manifest.row_order("train") for store in material.stores]
    other = next((store for store, order in zip(material.stores, orders, strict=True) if order != orders[0]), None)
    if window and other:
        raise ConfigError(
            f"{other.reader.path} has its rows in another order than {material.stores[0].reader.path} (one of them was "
            f"dumped by an earlier release); a window of {window} chunks of the one is spread over all of the other. "
            "Set order.window to 0, or dump the older store again."
        )
    return config.model_copy(update={"order": config.order.model_copy(update={"window": window})})


def _check_views(config: TrainConfig, objective: Objective, material: Material) -> None:
    """Refuse what the views cannot give to the method, before there is a run folder."""
    if objective.views > 1 and config.views_per_batch not in (1, objective.views):
        raise ConfigError(
            f"The method compares {objective.views} views of each sample; views_per_batch is "
            f"{config.views_per_batch}. Leave it out."
        )
    needed = _views_per_batch(config, objective)
    if material.views is not None and material.views < needed:
        raise StoreMismatch(
            f"{material.stores[0].reader.path} has {material.views} view(s) of each sample, and every batch takes "
            f"{needed}. Dump with --views {needed} or more."
        )
    if objective.method is not None and material.recipe.pairs(config.seed, len(material.source), 0) is not None:
        refuse_mixed(objective.method, material.source.classes)
    _order(config, material, epoch=0, view=0)  # refuses a window that would part mixing partners


def _teacher_logits(
    batch: Batch, pixels: list[AnyViews], teachers: list[Teacher], device: torch.device
) -> tuple[Tensor, ...]:
    """What each teacher says of the batch: live, or from its store."""
    if teachers:
        # leaves inference mode: such tensors may not be saved for a backward pass
        return tuple(torch.cat([teacher.logits(of_one_size).clone() for of_one_size in pixels]) for teacher in teachers)
    return tuple(rows.to(device, non_blocking=True).logits() for rows in batch.teachers)


def _folded(config: TrainConfig, logits: tuple[Tensor, ...], global_step: int) -> Logits | None:
    """One teacher's logits, whatever their number; the draw of one is a function of seed and step."""
    if len(logits) < 2:
        return logits[0] if logits else None
    chosen = 0
    if config.teachers.fold == "draw":
        ticket = words(config.seed, "teacher of the batch", np.array([global_step]), 0, 1)[0]
        bounds = np.cumsum(config.weights) / sum(config.weights)
        chosen = int(np.searchsorted(bounds, unit(ticket), side="right")[0])
    return fold(torch.stack(logits), config.teachers.fold, config.weights, chosen)


def _example(material: Material, device: torch.device) -> Tensor:
    """Two normalised views, to see what passes through a student."""
    pixels = material.renderer.rendering(Request("train", np.arange(2), 0)).pixels
    return material.normalise(pixels.to(device))


def _material(config: TrainConfig, device: torch.device, progress: Progress) -> Material:
    data = config.data
    if config.store:
        cached = config.asks_a_teacher and config.live_teacher is None
        material = from_stores(
            config.store,
            data=data.data,
            root=data.root,
            trust=config.trust,
            check=config.check,
            with_logits=cached,
            memory=config.order.memory,
            workers=config.workers,
            render=config.render,
            device=device,
        )
        return replace(material, views=_shown_views(config, material))
    assert data.data is not None
    spec = SourceSpec(data=data.data, root=data.root, split="train", decode=data.decode)
    return from_images(
        spec,
        recipe=data.recipe,
        normalise=data.normalise,
        seed=config.seed,
        workers=config.workers,
        render=config.render,
        device=device,
        progress=progress,
    )


def _shown_views(config: TrainConfig, material: Material) -> int:
    """How many of the store's views the run shows."""
    stored = material.stores[0].views
    if config.views is not None and config.views > stored:
        raise StoreMismatch(
            f"{material.stores[0].reader.path} has {stored} view(s) of each sample; views is {config.views}. "
            f"Dump with --views {config.views}: only the new ones are computed."
        )
    return config.views or stored


def _live_teachers(config: TrainConfig, material: Material, device: torch.device) -> list[Teacher]:
    live = config.live_teacher
    if live is None:
        return []
    if material.stores:
        return [
            open_stored_teacher(
                store.manifest,
                checkpoint=live.checkpoint,
                device=device,
                trust=config.trust,
                path=store.reader.path,
            )
            for store in material.stores
        ]
    assert live.name is not None
    assert live.checkpoint is not None
    teacher = load_teacher(
        live.name,
        live.checkpoint,
        classes=material.source.classes,
        channels=material.source.channels,
        device=device,
        precision=config.precision,
        normalise=live.normalise,
    )
    return [teacher]


def _run_folder(config: TrainConfig, resume: bool) -> RunFolder:
    if not resume:
        return RunFolder.create(config.out, config.model_dump(mode="json"))
    run = RunFolder.open(config.out)
    if run.summary is not None:
        raise RunError(
            f"{config.out} is finished; there is nothing to resume. Pass --out with another path to train anew."
        )
    return run


def _optimiser(parameters: list[nn.Parameter], config: Optimiser) -> torch.optim.Optimizer:
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
    )


def _evaluate(config: TrainConfig, student: nn.Module, material: Material, device: torch.device) -> Evaluation | None:
    if material.test_source is None:
        return None
    pictures = material.renderer.plain("test")
    logits = predict(student, material.normalise, pictures, device=device, precision=config.precision)
    labels: LabelArray = material.test_source.labels()
    return evaluate(logits, torch.from_numpy(labels), _test_teacher(config, material))


def _test_teacher(config: TrainConfig, material: Material) -> LogitArray | None:
    """Whom the student is compared with: the teacher, or what several of them say together."""
    if len(material.test_teachers) < 2:
        return material.test_teachers[0] if material.test_teachers else None
    together: Fold = "mean_logits" if config.teachers.fold == "mean_logits" else "mean_probabilities"
    array: LogitArray = fold(torch.from_numpy(np.stack(material.test_teachers)), together, config.weights).numpy()
    return array


def _check_finite(values: dict[str, float], epoch: int, step: int) -> None:
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        shown = ", ".join(f"{name} = {value}" for name, value in broken.items())
        raise RunError(
            f"Epoch {epoch + 1}, step {step}: {shown}; the training has diverged. "
            "Lower --set optimiser.lr, or warm up with --set schedule.warmup_epochs=1."
        )


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
