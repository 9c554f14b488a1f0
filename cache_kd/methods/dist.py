"""Match correlations, not values: within each sample, and within each class over the batch."""

import torch
from torch import Tensor

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.knob import NonNegative, Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.types import Labels, Logits, PerSample

IMAGENET = Published(knobs={"tau": 1.0})


def dist(beta: NonNegative = 1.0, gamma: NonNegative = 1.0, tau: Positive = 4.0) -> Method:
    """Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022 (arXiv 2205.10536).

    beta tau^2 (1 - r) + gamma tau^2 (1 - mean of r_k), with r the correlation of the two softmax rows of a
    sample and r_k that of the two columns of class k over the batch.

    As in the authors' code, 1e-8 stands in the denominator of each correlation; with many classes at a high
    temperature that is no longer small, and an equal student keeps some loss. The second part belongs to the
    batch: each of its samples carries the same value, and another batch size is another loss.

    Args:
        beta: weight of the correlations within samples.
        gamma: weight of the correlations within classes.
        tau: temperature, > 0.

    Needs: all logits, and the batch (a class's column).
    """
    within_sample = Term(refine=keep, temperature=Constant(tau), divergence=inter_class, weight=beta)
    within_class = Term(refine=keep, temperature=Constant(tau), divergence=intra_class, weight=gamma)
    return Method(name="dist", terms=(within_sample, within_class), hard_weight=1.0, soft_weight=2.0)


def inter_class(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """1 - the correlation over the classes."""
    del labels
    return 1 - correlation(student.softmax(dim=-1), teacher.softmax(dim=-1))


def intra_class(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """1 - the mean over the classes of the correlation over the batch; the same for every sample."""
    del labels
    columns = correlation(student.softmax(dim=-1).T, teacher.softmax(dim=-1).T)
    return (1 - columns.mean()).expand(len(student))


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's, row by row; 0 where a row is constant."""
    first, second = (rows - rows.mean(dim=-1, keepdim=True) for rows in (first, second))
    size, other_size = (torch.linalg.vector_norm(rows, dim=-1) for rows in (first, second))
    similar: Tensor = (first * second).sum(dim=-1) / (size * other_size + 1e-8)
    return similar
