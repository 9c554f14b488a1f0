"""What a method reads, found by asking it: change one input and see whether the loss of a sample changes."""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from cache_kd.distill.learned import modules_of
from cache_kd.distill.term import Method, term_loss
from cache_kd.errors import ConfigError

# 64 rows of 7 classes, teacher right on half: enough for a rule that acts on wrong rows, or on few, to show
ROWS, CLASSES = 64, 7
COMPANIES = (0.1, 10.0)  # of rows unsure and sure: a rule with a floor or a ceiling may show in one of them only


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the terms of a method depend on; true for compositions and for methods from outside alike."""

    teacher: bool  # the teacher's logits
    label: bool  # the one label of each sample
    batch: bool  # the other samples of the batch
    views: int  # views of each sample in a batch
    head: bool  # a second classifier on the student's features
    parameters: bool  # trained with the student

    def __str__(self) -> str:
        words = [
            "all logits" if self.teacher else "no logits",
            "the label" if self.label else "",
            "the batch" if self.batch else "",
            f"{self.views} views" if self.views > 1 else "",
            "a second head" if self.head else "",
            "a learned parameter" if self.parameters else "",
        ]
        return ", ".join(word for word in words if word)


def needs_of(method: Method) -> Needs:
    """What the terms of `method` read.

    Computed, not declared: a composition or a method from outside cannot forget to say it. A method that cannot be
    asked, because it was made for one number of classes, is taken to need everything.

    Raises:
        ConfigError: a role gives another shape than the one that its type says.
    """
    try:
        return _remembered(method)
    except TypeError:  # a role that is not hashable, as a plain dataclass is not
        return _asked(method)


def reads_student(method: Method) -> bool:
    """Whether a temperature of `method` depends on the student's logits."""
    student, teacher, other, labels = _rows(method)
    with torch.no_grad():
        pairs = [
            [term.temperature(seen, term.refine(student, teacher, labels), labels) for seen in (student, other)]
            for term in method.terms
        ]
    return any(_differ(first.teacher, second.teacher) for first, second in pairs)


@lru_cache(maxsize=256)
def _remembered(method: Method) -> Needs:
    return _asked(method)


def _asked(method: Method) -> Needs:
    student, teacher, others, labels = _rows(method)
    # two rows of eight are kept, one with a right teacher; whoever looks only at its own row sees no difference there
    kept = (torch.arange(ROWS, device=labels.device) % 8 % 7 == 0)[:, None]
    try:
        once = _per_sample(method, student, teacher, labels)
        in_company = [
            _per_sample(method, student.where(kept, size * others), teacher.where(kept, size * others.flip(0)), labels)
            for size in COMPANIES
        ]
        reads_teacher = _differ(once, _per_sample(method, student, others, labels))
        reads_label = _differ(once, _per_sample(method, student, teacher, (labels + 1) % CLASSES))
        reads_batch = any(_differ(once[kept[:, 0]], losses[kept[:, 0]]) for losses in in_company)
    except ConfigError:
        raise
    except Exception:  # whatever a role of yours raises over rows that it was not made for
        reads_teacher = reads_label = reads_batch = True
    return Needs(
        teacher=reads_teacher,
        label=reads_label,
        batch=reads_batch,
        views=method.views,
        head=method.head is not None,
        parameters=bool(modules_of(method)),
    )


def _rows(method: Method) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three kinds of logits and labels, where the parameters of the method are; the teacher is right on every other."""
    device = next((own.device for module in modules_of(method) for own in module.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    first, second, third = (3 * torch.randn(ROWS, CLASSES, generator=generator).double() for _ in range(3))
    labels = torch.randint(CLASSES, (ROWS,), generator=generator)
    labels[::2] = second.argmax(dim=-1)[::2]
    return first.to(device), second.to(device), third.to(device), labels.to(device)


def _per_sample(method: Method, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        losses = [
            term_loss(replace(term, weight=1.0), student, teacher, labels, name=method.name) for term in method.terms
        ]
    return torch.stack(losses).sum(0)


def _differ(first: Tensor, second: Tensor) -> bool:
    # 1e-9: rounding of a sum over the batch moves with its order; a rule that matters moves more. What is near zero is
    # so beside the largest: all of a loss is small at a low temperature
    largest = max(first.abs().max().item(), second.abs().max().item())
    return not torch.allclose(first, second, rtol=1e-9, atol=1e-12 * largest)
