"""What the student imitates: the teacher's logits, as they are or corrected by the label."""

from cache_kd.types import Labels, Logits


def keep(student: Logits, teacher: Logits, labels: Labels) -> Logits:
    """The teacher as it is."""
    del student, labels
    return teacher


def itself(student: Logits, teacher: Logits, labels: Labels) -> Logits:
    """The student as its own teacher, for methods that have no other."""
    del teacher, labels
    return student


def probability_shift(student: Logits, teacher: Logits, labels: Labels) -> Logits:
    """The teacher with its largest logit and the label's exchanged: always right, as sure as before.

    Nothing changes where the teacher is right. Of several equal maxima the first is exchanged. Mean, standard
    deviation and logsumexp of a row stay, so it does not matter whether a temperature comes before or after.

    References: Wen et al., 2019 (arXiv 1911.07471).
    """
    del student
    at_label = labels[:, None]
    largest, at_largest = teacher.max(dim=-1, keepdim=True)
    return teacher.scatter(-1, at_largest, teacher.gather(-1, at_label)).scatter(-1, at_label, largest)
