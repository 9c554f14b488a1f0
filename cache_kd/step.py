"""One step of training: the gradients of one batch, over all its parts and ranks, and the weights that follow."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cache_kd.device import computing
from cache_kd.distill import Method, needs_of
from cache_kd.errors import ConfigError
from cache_kd.models.normalise import Normalise
from cache_kd.objective import Objective
from cache_kd.parts import Part, parts_of
from cache_kd.ranks import Ranks
from cache_kd.train_config import TrainConfig
from cache_kd.types import AnyImages, AnyViews, Labels, Logits, MixedLabels


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step saw, of the whole batch over all ranks; for the log, without a graph."""

    loss: dict[str, Tensor]  # means over the batch
    seen: Tensor  # [rows, classes]: what the method saw of the student
    teacher: Tensor | None  # of the same rows, as the labels
    labels: Tensor


def check_method(config: TrainConfig, ranks: Ranks) -> None:
    """Refuse what the method of some epoch cannot do with, before anything is opened.

    Raises:
        ConfigError: a batch in parts, several processes, float16 or a compiled student.
    """
    for method in config.over(config.epochs):
        _refuse(config, method, ranks)


def fewest_samples(config: TrainConfig, samples: int, ranks: Ranks) -> int:
    """How many of an epoch's `samples` a batch norm is given at least, in one pass of its training."""
    lengths = [length for length in (min(config.batch_size, samples), samples % config.batch_size) if length]
    parts = [part for length in lengths for part in _parts(length, config, ranks)]
    of_passes = [[sum(part.sizes)] if config.sync_batch_norm else part.sizes for part in parts]
    return min(size for sizes in of_passes for size in sizes if size)


class Step:
    """Turns batches into weights.

    The loss is that of the whole batch on every rank: what it is made of, logits and labels, is handed round, so that
    a method which looks at the batch sees all of it. Each rank then computes gradients for its own rows.

    Args:
        config: of the run.
        objective: gives the loss; its modules are the ones that learn.
        optimiser: of all that learns.
        normalise: what stands before the student.
        ranks: the processes that share each batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        normalise: Normalise,
        ranks: Ranks,
    ) -> None:
        self._config = config
        self._objective = objective
        self._normalise = normalise
        self._ranks = ranks
        self._parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        self._optimiser: Any = ranks.fabric.setup_optimizers(optimiser)
        self._passes = ranks.fabric.setup_module(objective.passes)

    def __call__(
        self,
        pixels: Sequence[AnyViews],
        teacher: Logits | None,
        labels: Labels | MixedLabels,
        *,
        samples: int,
        views: int,
    ) -> Outcome:
        """Take one step.

        Args:
            pixels: this rank's part on the device, uint8; one tensor for each run of views of one size. Rows of a
                rank that has no part are left out.
            teacher: logits of the same rows; None where nobody is asked.
            labels: of the same rows.
            samples: of the batch, over all ranks.
            views: of each sample.
        """
        self._optimiser.zero_grad(set_to_none=True)
        outcomes = []
        # TF32 is off in the backward pass too
        with computing(self._ranks.device, "float32"):
            for part in _parts(samples, self._config, self._ranks):
                own = part.of(self._ranks.rank)
                outcome = self._gradients(
                    [own(of_one_size) for of_one_size in pixels],
                    None if teacher is None else self._ranks.together(own(teacher), part.sizes, views),
                    self._ranks.together(own(labels), part.sizes, views),
                    part,
                    views,
                )
                outcomes.append(outcome)
            self._ranks.average_gradients(self._objective.roles)
            if self._config.optimiser.clip_norm is not None:
                self._ranks.fabric.clip_gradients(
                    self._passes, self._optimiser, max_norm=self._config.optimiser.clip_norm, error_if_nonfinite=False
                )
            self._optimiser.step()
        return outcomes[0] if len(outcomes) == 1 else _together(outcomes)

    def _gradients(
        self,
        pixels: Sequence[AnyViews],
        teacher: Logits | None,
        labels: Labels | MixedLabels,
        part: Part,
        views: int,
    ) -> Outcome:
        """Add the gradients of one part of the batch; `pixels` are this rank's rows, the others all of the part."""
        with self._unsynchronised() if not part.last else nullcontext():
            logits, seen = self._forward(
                [self._normalise(of_one_size, channels_last=self._config.channels_last) for of_one_size in pixels]
            )
            # float32 once for both halves of the loss: their gradients are added before a narrow student rounds them
            logits = self._ranks.together(logits.float(), part.sizes, views)
            seen = logits if seen is None else self._ranks.together(seen.float(), part.sizes, views)
            loss = self._objective.loss(logits, seen, teacher, labels)
            if self._objective.aligned:
                self._objective.backward_aligned(loss, self._parameters)
            else:
                self._ranks.fabric.backward(loss.total * part.share, model=self._passes)
        values = {name: value * part.share for name, value in loss.values().items()}
        return Outcome(loss=values, seen=seen.detach(), teacher=teacher, labels=labels)

    def _forward(self, images: list[AnyImages]) -> tuple[Tensor, Tensor | None]:
        passed: tuple[Tensor, Tensor | None]
        if self._objective.aligned:
            # beside Fabric, which wants to run the backward pass and knows none with two gradients
            with self._ranks.fabric.autocast():
                passed = self._objective.passes(images)
        else:
            passed = self._passes(images)
        return passed

    def _unsynchronised(self) -> AbstractContextManager[None]:
        """Leaves the exchange of gradients to the last part."""
        return self._ranks.fabric.no_backward_sync(self._passes) if self._ranks.count > 1 else nullcontext()


def _parts(length: int, config: TrainConfig, ranks: Ranks) -> list[Part]:
    return parts_of(length, parts=config.accumulate, ranks=ranks.count)


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    teachers = [outcome.teacher for outcome in outcomes if outcome.teacher is not None]
    return Outcome(
        loss={name: torch.stack([outcome.loss[name] for outcome in outcomes]).sum() for name in outcomes[0].loss},
        seen=torch.cat([outcome.seen for outcome in outcomes]),
        teacher=torch.cat(teachers) if teachers else None,
        labels=torch.cat([outcome.labels for outcome in outcomes]),
    )


def _refuse(config: TrainConfig, method: Method, ranks: Ranks) -> None:
    """What the method of an epoch cannot do with."""
    if config.accumulate > 1 and (method.aligned or method.views > 1 or needs_of(method).batch):
        raise ConfigError(
            f"{method.name} looks at a batch as a whole; accumulate={config.accumulate} shows it the batch in parts, "
            "which is another method. Leave accumulate at 1: several processes (torchrun) share a batch without "
            "parting it, and --precision bf16 takes half the memory."
        )
    if method.aligned and ranks.count > 1:
        raise ConfigError(
            f"{method.name} aligns two gradients of the whole batch, which {ranks.count} processes do not have. Train "
            "in one process, or pass --set knobs.aligned=false."
        )
    if method.aligned and config.precision == "fp16":
        raise ConfigError(
            f"{method.name} aligns two gradients, which fp16's scaling of one loss does not reach. Pass --precision "
            "bf16 or float32."
        )
    if method.aligned and config.compile:
        raise ConfigError(
            f"{method.name} aligns two gradients, and a compiled student gives one: its first backward pass frees what "
            "the second needs. Leave compile out, or pass --set knobs.aligned=false."
        )
