"""No teacher at all: a control for what the teacher brings."""

import torch

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.divergence import without_label
from cache_kd.distill.knob import NonNegative
from cache_kd.distill.refine import itself
from cache_kd.distill.temperature import RAW
from cache_kd.types import Labels, Logits, PerSample

IMAGENET = Published(knobs={"alpha": 1.0})


def uskd(alpha: NonNegative = 0.1, beta: NonNegative = 0.1) -> Method:
    """After Yang et al., From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
    Normalized Loss and Customized Soft Labels, ICCV 2023 (arXiv 2303.13005).

    alpha w (-log p_y) + beta H(zipf, s'), with w = 1 + p_y^2 - mean of p_y^2 over the batch, and H the
    cross-entropy over all classes but the label with 1 / rank, normalised, as its target.

    USKD-style, not USKD: the paper ranks the classes with the help of a weak classifier on features from the
    middle of the network; here the student's own logits rank them, so that nothing but logits is needed.

    Args:
        alpha: weight of the label's part.
        beta: weight of the other classes.

    Needs: no logits, but the label and the batch (the mean of p_y^2).
    """
    label = Term(refine=itself, temperature=RAW, divergence=smoothed_label, weight=alpha)
    rest = Term(refine=itself, temperature=RAW, divergence=zipf_ranks, weight=beta)
    why = "it has no teacher to look at"
    return Method(
        name="uskd", terms=(label, rest), hard_weight=1.0, soft_weight=1.0, fixed={"refine": why, "temperature": why}
    )


def smoothed_label(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Cross-entropy with the label, weighted by how sure the student is beside the rest of the batch."""
    at_label = labels[:, None]
    squared = teacher.softmax(dim=-1).gather(-1, at_label).square()
    weight = 1 + squared - squared.mean(dim=0, keepdim=True)
    return -(weight * student.log_softmax(dim=-1).gather(-1, at_label)).squeeze(1)


def zipf_ranks(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Cross-entropy of the classes beside the label with 1 / rank, normalised; ranks count the label too."""
    by_rank = 1 / torch.arange(1, teacher.shape[-1] + 1, device=teacher.device, dtype=teacher.dtype)
    order = teacher.argsort(dim=-1, descending=True)
    zipf = torch.empty_like(teacher).scatter(-1, order, by_rank.expand_as(teacher)).scatter(-1, labels[:, None], 0.0)
    target = zipf / zipf.sum(dim=-1, keepdim=True)
    return -(target * without_label(student, labels).log_softmax(dim=-1)).sum(dim=-1)
