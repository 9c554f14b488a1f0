"""What a method asks of a student that knows nothing yet: temperatures, targets, left-out classes, and the pull."""

import inspect
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from cache_kd.distill import Divergence, Method, Term, per_sample_loss
from cache_kd.types import Labels, LeftOut, Logits, PerSample, Probabilities, Pull

# of the largest gradient in a row: below this lies the rounding of float64, above it every class that counts
NOTHING = 1e-12
# a whole row below this is a term that does not look at the sample: its gradients are about 1 elsewhere
SILENT = 1e-15


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one term compares an undecided student with, row by row.

    Attributes:
        caption: what its divergence is, in a sentence.
        tau: effective temperature of the teacher's raw logits, > 0.
        gain: what the loss is multiplied by for it.
        weight: of the term.
        left_out: classes that the divergence does not look at; a row of them is a sample it does not look at.
        probabilities: softmax of the refined logits at `tau`, over the classes that are looked at.
        of_student: the refinement reads the student, which is undecided here.
        of_batch: one loss for the whole batch, the same in every row.
    """

    caption: str
    tau: PerSample
    gain: PerSample
    weight: float
    left_out: LeftOut
    probabilities: Probabilities
    of_student: bool
    of_batch: bool


def target_of(term: Term, teacher: Logits, labels: Labels, *, name: str, seed: int = 0) -> Target:
    """The target of `term` for a student whose logits are all 0.

    Args:
        term: of a method.
        teacher: float64 logits, the rows that the method expects of a batch.
        labels: of the rows.
        name: stands as the caption where the divergence has no docstring.
        seed: of the student at which the divergence is asked what it looks at.
    """
    undecided = torch.zeros_like(teacher)
    somebody = torch.randn(teacher.shape, generator=torch.Generator().manual_seed(seed), dtype=teacher.dtype)
    with torch.no_grad():
        refined = term.refine(undecided, teacher, labels)
        tau = term.temperature(undecided, refined, labels)
        of_student = not torch.equal(refined, term.refine(somebody, teacher, labels))
    # asked behind the temperature: through a student's own deviation every class would count
    softened = somebody.requires_grad_()
    losses = term.divergence(softened, refined / tau.teacher, labels)
    (gradient,) = torch.autograd.grad(losses.sum(), softened)
    largest = gradient.abs().amax(dim=-1, keepdim=True)
    left_out = (gradient.abs() <= NOTHING * largest) | (largest <= SILENT)
    return Target(
        caption=caption_of(term.divergence, otherwise=name),
        tau=_per_row(tau.teacher, teacher),
        gain=_per_row(tau.gain, teacher),
        weight=term.weight,
        left_out=left_out,
        probabilities=_softmax_over(refined / tau.teacher, ~left_out),
        of_student=of_student,
        of_batch=len(losses) > 1 and bool((losses == losses[0]).all()),
    )


def pull_of(method: Method, teacher: Logits, labels: Labels) -> Pull:
    """Where the first step of the method's terms moves each logit of an undecided student: up is positive."""
    undecided = torch.zeros_like(teacher).requires_grad_()
    (gradient,) = torch.autograd.grad(per_sample_loss(method, undecided, teacher, labels).sum(), undecided)
    pull: Pull = -gradient
    return pull


def entropy(probabilities: Probabilities) -> PerSample:
    """In nats; 0 log 0 is 0.

    >>> entropy(torch.tensor([[0.5, 0.5, 0.0]])).exp()
    tensor([2.])
    """
    nats: PerSample = torch.special.entr(probabilities).sum(dim=-1)
    return nats


def caption_of(divergence: Divergence, *, otherwise: str) -> str:
    """The first line of the divergence's docstring, or of the function that made it."""
    # Any: a role may be a function, a partial or a module
    asked: Any = divergence.func if isinstance(divergence, partial) else divergence
    text = inspect.getdoc(asked) or _doc_of_maker(asked) or otherwise
    return text.partition("\n")[0]


def _doc_of_maker(function: Any) -> str | None:
    """The docstring of `maker` where `function` is `maker.<locals>.function`."""
    maker, inside, _ = getattr(function, "__qualname__", "").partition(".<locals>.")
    found = getattr(sys.modules.get(function.__module__), maker, None) if inside else None
    return found and inspect.getdoc(found)


def _softmax_over(logits: Logits, kept: LeftOut) -> Probabilities:
    """Softmax over the kept classes; all 0 in a row that keeps none."""
    return logits.masked_fill(~kept, -torch.inf).softmax(dim=-1).nan_to_num(0.0)


def _per_row(values: torch.Tensor, teacher: Logits) -> PerSample:
    return values.detach().to(teacher.dtype).expand(len(teacher), 1).squeeze(1)
