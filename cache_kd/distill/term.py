"""A method is a sum of terms; a term says what to imitate, how soft, and how the distance is measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import nn

from cache_kd.distill.shape import demand_shape
from cache_kd.errors import ConfigError
from cache_kd.types import Labels, Logits, PerSample, Tau


@dataclass(frozen=True, kw_only=True)
class Temperatures:
    """What divides the logits on each side, and the factor that the loss gets back for it."""

    student: Tau
    teacher: Tau
    # Its own field because authors differ: KD gives tau^2, NormKD the teacher's own tau_i^2,
    # logit standardisation the square of the base temperature only, TTM nothing.
    gain: Tau


# A role may be an nn.Module: its parameters are then trained with the student (see `distill.learned`).
Refine = Callable[[Logits, Logits, Labels], Logits]  # what to imitate, before any temperature
Temperature = Callable[[Logits, Logits, Labels], Temperatures]  # sees the refined teacher
Divergence = Callable[[Logits, Logits, Labels], PerSample]  # sees logits already divided by their temperature

Role = Literal["refine", "temperature", "divergence"]
ROLES: tuple[Role, ...] = ("refine", "temperature", "divergence")


@dataclass(frozen=True, kw_only=True)
class Term:
    """One summand of a distillation loss; `dataclasses.replace` exchanges a role."""

    refine: Refine
    temperature: Temperature
    divergence: Divergence
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Method:
    """A published method: its terms, the authors' weights, and what else it asks of a training step.

    Attributes:
        name: in tables, logs and errors.
        terms: their sum is the distillation loss.
        hard_weight: of the cross-entropy with the labels.
        soft_weight: of the sum of the terms.
        views: views of each sample in a batch. With two, the rows are all samples of the first view, then all
            of the second.
        head: (features, classes) -> a second classifier on the student's features. The terms then see its
            logits as the student's; the student's own logits learn from the labels alone.
        aligned: the gradient of the terms loses what points against the gradient of the labels' loss.
        fixed: role -> why it cannot be exchanged.
    """

    name: str
    terms: tuple[Term, ...]
    hard_weight: float
    soft_weight: float
    views: int = 1
    head: Callable[[int, int], nn.Module] | None = None
    aligned: bool = False
    fixed: Mapping[Role, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """A sum needs a summand, and a loss needs weights that are numbers.

        Raises:
            ConfigError: there is no term, or a weight is negative or not finite.
        """
        if not self.terms:
            raise ConfigError("a method without terms has nothing to imitate; give it at least one Term.")
        for which, weight in (("hard_weight", self.hard_weight), ("soft_weight", self.soft_weight)):
            if not 0 <= weight < math.inf:
                raise ConfigError(
                    f"{self.name}: {which} comes to {weight:g}; a weight is finite and 0 or more. Set it so, at every "
                    "point of its course where it has one."
                )

    def weighted(self, *, hard: float, soft: float) -> "Method":
        """The same method with other weights of labels and terms."""
        return replace(self, hard_weight=hard, soft_weight=soft)


def term_loss(term: Term, student: Logits, teacher: Logits, labels: Labels, *, name: str = "a term") -> PerSample:
    """One term, in at least float32; no gradient reaches the teacher.

    Args:
        term: one summand of a method.
        student: raw logits.
        teacher: raw logits.
        labels: class indices.
        name: of the method, for errors.

    Raises:
        ConfigError: a role gives another shape than the one that its type says.
    """
    dtype = working_dtype(student, teacher)
    student, teacher = student.to(dtype), teacher.to(dtype)
    refined = term.refine(student, teacher, labels)
    demand_shape(name, "the refined teacher", refined, (student.shape,), "logits, as the student's")
    # A refinement may look at the student, and `no_grad` around `keep` would hand the teacher through as it
    # came; detaching the result covers both.
    target = refined.detach()
    tau = term.temperature(student, target, labels)
    _check_temperatures(name, tau, len(student))
    distance = term.divergence(student / tau.student, target / tau.teacher, labels)
    demand_shape(name, "the divergence", distance, (student.shape[:1],), "one loss per sample, as .sum(dim=-1) gives")
    return term.weight * tau.gain.squeeze(1) * distance


def working_dtype(*logits: torch.Tensor) -> torch.dtype:
    """float32 for everything that is narrower, float64 where one side is."""
    dtype = torch.float32
    for tensor in logits:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _check_temperatures(name: str, tau: Temperatures, rows: int) -> None:
    columns = ((rows, 1), (1, 1))
    mend = "one number per sample or one for all, as keepdim=True leaves it"
    demand_shape(name, "the student's temperature", tau.student, columns, mend)
    demand_shape(name, "the teacher's temperature", tau.teacher, columns, mend)
    demand_shape(name, "the gain of the temperature", tau.gain, columns, mend)
