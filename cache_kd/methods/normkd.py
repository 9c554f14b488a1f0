"""A temperature for every sample, from the spread of its own logits."""

import torch

from cache_kd.distill import Method, Published, Temperature, Temperatures, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import standard_deviation
from cache_kd.types import Labels, Logits, Tau

IMAGENET = Published(knobs={"tau": 1.0}, hard_weight=0.5, soft_weight=0.5)


def normkd(tau: Positive = 2.0) -> Method:
    """Chi et al., NormKD: Normalized Logits for Knowledge Distillation, 2023 (arXiv 2308.00520).

    t_i^2 KL(softmax(v / t_i) || softmax(s / u_i)), with t_i = tau std(v_i) and u_i = tau std(s_i).

    The gain is the teacher's own t_i^2, and the gradient flows through the student's std, both as in the
    authors' code. That code gives NaN on a constant row; here such a row keeps the bare `tau`, and a constant
    teacher row, which says nothing, gets gain 0, the limit of the formula.

    Args:
        tau: temperature in units of one standard deviation, > 0; lent to `dkd` the authors take 2 on CIFAR-100
            with another alpha and beta for each pair (4 and 5 for res32x4-8x4), 0.5 or 0.75 on ImageNet with 1 and 1.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=spread(tau), divergence=kl)
    return Method(name="normkd", terms=(term,), hard_weight=0.1, soft_weight=0.9)


def spread(tau: float) -> Temperature:
    """`tau` standard deviations over the classes, each side its own; the gain is the teacher's square."""

    def rule(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        del labels
        in_teacher = standard_deviation(teacher)
        return Temperatures(
            student=tau * _unless_constant(standard_deviation(student), student),
            teacher=tau * _unless_constant(in_teacher, teacher),
            gain=(tau * in_teacher) ** 2,
        )

    return rule


def _unless_constant(deviation: Tau, logits: Logits) -> Tau:
    """The deviation; 1 where it lies below the rounding of the logits themselves."""
    rounding = torch.finfo(logits.dtype).eps * (1 + logits.detach().abs().amax(dim=-1, keepdim=True))
    return torch.where(deviation > rounding, deviation, 1.0)
