"""KD with the classes beside the label normalised on each side."""

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.divergence import cross_entropy, without_label
from cache_kd.distill.knob import NonNegative, Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import RAW, Constant
from cache_kd.types import Labels, Logits, PerSample

IMAGENET = Published(knobs={"gamma": 1.5, "tau": 1.0})


def nkd(gamma: NonNegative = 3.5, tau: Positive = 3.0) -> Method:
    """Yang et al., From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
    Normalized Loss and Customized Soft Labels, ICCV 2023 (arXiv 2303.13005).

    -p_y(v) log p_y(s) + gamma tau^2 H(v', s'), with y the label, p at temperature 1, and H the cross-entropy
    of the softmax at tau over all classes but the label.

    Cross-entropies and no divergences, as in the paper: the loss of a perfect student is not zero. The copy in
    the SDD authors' repository does not leave the label out; this follows the original.

    Args:
        gamma: weight of the other classes.
        tau: temperature of the other classes, > 0.

    Needs: all logits, and which of them is the label's.
    """
    label = Term(refine=keep, temperature=RAW, divergence=label_entropy)
    rest = Term(refine=keep, temperature=Constant(tau), divergence=other_entropy, weight=gamma)
    why = "its first term stands at temperature 1, its second at tau"
    return Method(name="nkd", terms=(label, rest), hard_weight=1.0, soft_weight=1.0, fixed={"temperature": why})


def label_entropy(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """The label's part of the cross-entropy."""
    at_label = labels[:, None]
    likelihood = teacher.softmax(dim=-1).gather(-1, at_label)
    return -(likelihood * student.log_softmax(dim=-1).gather(-1, at_label)).squeeze(1)


def other_entropy(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Cross-entropy among all classes but the label."""
    return cross_entropy(without_label(student, labels), without_label(teacher, labels), labels)
