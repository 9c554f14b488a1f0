"""Numbers that change over training, as pure functions of the position: learning rates by step, knobs by epoch."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cache_kd.config import Config, canonical_json

# of the full value, as torch's OneCycleLR has them
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4

# under which names of a schedule its other numbers act, where not under all
_ACTS_UNDER = {
    "milestones": ("step",),
    "gamma": ("step",),
    "floor": ("cosine",),
    "warmup_from": ("constant", "cosine", "step"),
}


class Schedule(Config):
    """How a factor goes over training, step by step; 1.0 is the full value.

    Step s of an epoch of n steps stands at epoch + s/n: the first step of all stands at 0, and the last one just below
    the number of epochs.

    Attributes:
        name: `constant`; `step`, times gamma at each milestone; `cosine`, down to `floor`; or `one-cycle`: up from 1/25
            by a cosine, then down to 1/250,000 by another (momentum stays as it is).
        warmup_epochs: of a straight line from `warmup_from` to 1, before the rest; for `one-cycle` the length of its
            rise, where 0 means 0.3 of the training.
        warmup_from: factor of the very first step.
        milestones: epochs after which `step` multiplies by gamma, > 0, counted with the warm-up.
        gamma: what by.
        floor: where `cosine` ends.

    References: Loshchilov and Hutter, SGDR, ICLR 2017 (cosine); Goyal et al., Accurate, Large Minibatch SGD, 2017
    (warm-up); Smith and Topin, Super-Convergence, 2018 (one-cycle).
    """

    name: Literal["constant", "cosine", "step", "one-cycle"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    warmup_from: Annotated[float, Field(ge=0, le=1)] = 0.0
    milestones: tuple[Annotated[float, Field(gt=0)], ...] = ()
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _everything_acts(self) -> "Schedule":
        for key in self.model_dump(include=set(_ACTS_UNDER), exclude_defaults=True):
            if self.name not in _ACTS_UNDER[key]:
                default = canonical_json(type(self).model_fields[key].default)
                raise ValueError(
                    f"{key} has no effect where schedule.name is {self.name!r}; set schedule.{key}={default}, or "
                    f"schedule.name to {' or '.join(map(repr, _ACTS_UNDER[key]))}"
                )
        if self.warmup_from and not self.warmup_epochs:
            raise ValueError("warmup_from has no effect without a warm-up; set schedule.warmup_epochs too")
        if self.name == "step" and not self.milestones:
            raise ValueError(
                "'step' lowers the learning rate at its milestones, and there are none; set schedule.milestones, "
                "such as [15,25], or schedule.name=constant"
            )
        return self

    def factor(self, epoch: float, epochs: int) -> float:
        """The factor at `epoch` (fractional, from 0) of `epochs`.

        >>> Schedule(name="step", milestones=(1.0, 2.0)).factor(1.5, 3)
        0.1
        >>> Schedule(name="cosine").factor(5.0, 10)
        0.5
        >>> [Schedule(name="one-cycle").factor(epoch, 10) for epoch in (0.0, 1.5, 3.0)]
        [0.04, 0.52, 1.0]
        """
        if self.name == "one-cycle":
            return self._one_cycle(epoch, epochs)
        if epoch < self.warmup_epochs:
            return self.warmup_from + (1 - self.warmup_from) * epoch / self.warmup_epochs
        if self.name == "constant":
            return 1.0
        if self.name == "step":
            return math.prod((self.gamma for milestone in self.milestones if epoch >= milestone), start=1.0)
        return _fall(1.0, self.floor, epoch - self.warmup_epochs, epochs - self.warmup_epochs)

    def unreached(self, epochs: int) -> tuple[float, ...]:
        """The milestones at which a training of so many epochs is over.

        >>> Schedule(name="step", milestones=(15, 30, 40)).unreached(30)
        (30.0, 40.0)
        """
        return tuple(milestone for milestone in self.milestones if milestone >= epochs)

    def _one_cycle(self, epoch: float, epochs: int) -> float:
        rise = self.warmup_epochs or 0.3 * epochs
        if epoch < rise:
            return _fall(ONE_CYCLE_START, 1.0, epoch, rise)
        return _fall(1.0, ONE_CYCLE_END, epoch - rise, epochs - rise)


def _fall(start: float, end: float, at: float, length: float) -> float:
    """From `start` to `end` over `length` by half a cosine."""
    done = min(at / max(length, 1e-9), 1.0)
    # 12 digits: exactly half way in the middle
    return round(end + (start - end) * round(0.5 * (1 + math.cos(math.pi * done)), 12), 12)


class Course(Config):
    """A number that changes from epoch to epoch: the value at some epochs, and how to go from one to the next.

    Epochs count from 1, as in the papers: over the points (0, 0) and (20, 1) the first epoch has 1/20 and the
    twentieth is the first with the whole. Before the first point its value holds, after the last one the last.
    """

    points: Annotated[tuple[tuple[float, float], ...], Field(min_length=1)]
    between: Literal["linear", "cosine", "hold"] = "linear"

    @model_validator(mode="after")
    def _in_order(self) -> "Course":
        epochs = [epoch for epoch, _ in self.points]
        if epochs != sorted(set(epochs)):
            raise ValueError(f"the epochs of a course go up, one value each; found {epochs}")
        return self

    def __str__(self) -> str:
        """`0 at 0, 1 at 20 (linear)`."""
        return f"{', '.join(f'{value:g} at {epoch:g}' for epoch, value in self.points)} ({self.between})"

    def at(self, epoch: int) -> float:
        """The value in an epoch, counted from 1.

        >>> Course(points=((0, 0.0), (20, 1.0))).at(5)
        0.25
        >>> Course(points=((1, 8.0), (31, 2.0)), between="hold").at(30)
        8.0
        >>> Course(points=((0, 0.0), (10, -1.0)), between="cosine").at(5)
        -0.5
        """
        before = [point for point in self.points if point[0] <= epoch]
        after = [point for point in self.points if point[0] > epoch]
        if not before or not after:
            return (before[-1:] or after[:1])[0][1]
        (start, low), (end, high) = before[-1], after[0]
        done = (epoch - start) / (end - start)
        if self.between == "hold":
            return low
        if self.between == "cosine":
            done = round(0.5 * (1 - math.cos(math.pi * done)), 12)  # 12 digits: exactly 0.5 in the middle
        return low + (high - low) * done


def warm_up(epochs: int, to: float = 1.0) -> Course:
    """From 0 to `to` over the first `epochs`, the warm-up that DKD and its kin publish.

    >>> warm_up(20).at(1), warm_up(20).at(20), warm_up(1).at(1)
    (0.05, 1.0, 1.0)
    """
    return Course(points=((0, 0.0), (epochs, to)))
