"""How far the student is from its target: divergences of softened logits, in nats, finite on any logits."""

import torch
from torch import Tensor

from cache_kd.types import Labels, Logits, PerSample


def kl(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """KL(teacher || student)."""
    del labels
    log_ratio = teacher.log_softmax(dim=-1) - student.log_softmax(dim=-1)
    # softmax, not the exponential of its logarithm: exp is 10 times slower where it underflows
    return (teacher.softmax(dim=-1) * log_ratio).sum(dim=-1)


def cross_entropy(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Cross-entropy of the student under the teacher's probabilities: KL plus the teacher's entropy."""
    del labels
    return -(teacher.softmax(dim=-1) * student.log_softmax(dim=-1)).sum(dim=-1)


def kl_of_others(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """KL(teacher || student) among all classes but the label, each side renormalised there."""
    return kl(without_label(student, labels), without_label(teacher, labels), labels)


def kl_of_label(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """KL between the binary distributions "the label or not" of teacher and student."""
    return kl(one_against_rest(student, labels), one_against_rest(teacher, labels), labels)


def kl_without(left_out: Tensor, student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """KL(teacher || student) without some classes, each side renormalised over the rest; 0 where none is left.

    Args:
        left_out: boolean, [batch, classes].
        student: softened logits.
        teacher: softened logits.
        labels: handed through.
    """
    # Added, not filled in: filling by a mask without a pattern is 10 times slower. Beside the lowest finite number
    # any logit is lost in rounding, so a row with nothing left is uniform on both sides.
    lowest = left_out.to(student.dtype) * torch.finfo(student.dtype).min
    return kl(student + lowest, teacher + lowest, labels)


def without_label(logits: Logits, labels: Labels) -> Logits:
    """Logits whose softmax is 0 at the label.

    The lowest finite number stands there, not -inf: its probability is exactly 0 and its logarithm is finite,
    where 0 x -inf is NaN.
    """
    return logits.scatter(-1, labels[:, None], torch.finfo(logits.dtype).min)


def one_against_rest(logits: Logits, chosen: Labels) -> Tensor:
    """Logits of a problem with two classes, [batch, 2]: one chosen class per row, and all others together.

    The second is a logsumexp over the others: log(1 - p) of a rounded p is -inf once the row is sure.
    """
    rest = without_label(logits, chosen)
    largest = rest.detach().amax(dim=-1, keepdim=True)
    others = (rest - largest).exp().sum(dim=-1, keepdim=True).log() + largest
    return torch.cat([logits.gather(-1, chosen[:, None]), others], dim=-1)
