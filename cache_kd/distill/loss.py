"""From a method to the numbers that a training step averages: labels and teacher, one loss per sample each."""

import torch
from torch.nn import functional as F

from cache_kd.distill.needs import needs_of
from cache_kd.distill.shape import demand_shape
from cache_kd.distill.term import Method, term_loss, working_dtype
from cache_kd.errors import ConfigError
from cache_kd.types import Labels, Logits, MixedLabels, PerSample


def training_loss(
    method: Method, student: Logits, teacher: Logits, labels: Labels | MixedLabels, *, label_smoothing: float = 0.0
) -> PerSample:
    """What a training step averages: `hard_weight` x cross-entropy + `soft_weight` x the sum of the terms.

    Args:
        method: from `make_method` or `compose`.
        student: the student's raw logits.
        teacher: the teacher's raw logits.
        labels: class indices, or a probability for each class where samples are mixed.
        label_smoothing: share of the label's probability that is spread over all classes, 0 to 1.

    Raises:
        ConfigError: as `per_sample_loss`, or the method has a head of its own.
    """
    if method.head is not None:
        raise ConfigError(
            f"{method.name} has a second head: its terms see that head's logits, the labels those of the student; on "
            "one set of logits it is another method. Train with kdcache train, or add hard_weight x the cross-entropy "
            "of the student's logits and soft_weight x per_sample_loss of the head's."
        )
    soft = per_sample_loss(method, student, teacher, labels)
    hard = hard_loss(student, labels, label_smoothing)
    return method.hard_weight * hard + method.soft_weight * soft


def per_sample_loss(method: Method, student: Logits, teacher: Logits, labels: Labels | MixedLabels) -> PerSample:
    """The sum of the method's terms: distillation only, no cross-entropy with the labels.

    Raises:
        ConfigError: the labels are mixed and the method reads the label, the rows are not whole views, or logits,
            labels or what a role makes of them do not go together.
    """
    _check_inputs(method.name, student, teacher, labels)
    if len(student) % method.views:
        raise ConfigError(f"{method.name} takes {method.views} views of each sample; found {len(student)} rows.")
    one_label = labels if labels.dim() == 1 else _unread(method, labels)
    # autocast would narrow a matrix product in here
    with torch.autocast(student.device.type, enabled=False):
        return torch.stack(
            [term_loss(term, student, teacher, one_label, name=method.name) for term in method.terms]
        ).sum(0)


def hard_loss(student: Logits, labels: Labels | MixedLabels, label_smoothing: float = 0.0) -> PerSample:
    """Cross-entropy with the labels, in nats, in at least float32."""
    logits = student.to(working_dtype(student))
    if labels.dim() == 2:
        labels = labels.to(logits.dtype)
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


def refuse_mixed(method: Method, classes: int) -> None:
    """See that a method can do with a probability for each of `classes` instead of a label.

    Raises:
        ConfigError: it reads the label.
    """
    if needs_of(method).label:
        raise ConfigError(
            f"{method.name} needs the one label of each sample; these are mixed: a probability for each of "
            f"{classes} classes. Train without mixing, or with a method that reads no label, as kd does."
        )


def _check_inputs(name: str, student: Logits, teacher: Logits, labels: Labels | MixedLabels) -> None:
    if student.dim() != 2:
        raise ConfigError(
            f"{name}: the student's logits are of shape {list(student.shape)}; expected [batch, classes]."
        )
    demand_shape(name, "the teacher", teacher, (student.shape,), "a row of logits for each of the student's")
    either = "a class for each row of logits, or a probability for each class"
    demand_shape(name, "the tensor of labels", labels, (student.shape[:1], student.shape), either)


def _unread(method: Method, mixed: MixedLabels) -> Labels:
    """Some label per sample, for a method that was seen not to read it."""
    refuse_mixed(method, mixed.shape[1])
    return mixed.argmax(dim=-1)
