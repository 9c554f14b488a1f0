"""A lower temperature for the samples that confuse the student."""

from collections.abc import Callable
from typing import Literal

from cache_kd.distill import Method, Temperature, Temperatures, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import NonNegative, Positive
from cache_kd.distill.refine import keep, probability_shift
from cache_kd.errors import ConfigError
from cache_kd.types import Labels, Logits, PerSample

Confusion = Callable[[Logits, Logits], PerSample]  # (student, teacher) -> large where the sample is confusing


def dtd(
    rule: Literal["flsw", "cwsm"] = "flsw",
    tau: Positive = 4.0,
    bias: NonNegative = 1.0,
    power: NonNegative = 2.0,
    similarity: Literal["cosine", "probability"] = "cosine",
    min_tau: Positive = 1.0,
    shift: bool = False,
) -> Method:
    """Wen et al., Preparing Lessons: Improve Knowledge Distillation with Better Supervision,
    2019 (arXiv 1911.07471).

    t_i^2 KL(softmax(v / t_i) || softmax(s / t_i)), with t_i = max(min_tau, tau + bias (mean w - w_i)) and the
    mean over the batch. "flsw" has w = (1 - similarity(s, v))^power, "cwsm" has w = 1 / max softmax(s).

    There is no official code. The re-implementations agree on t_i before the floor and disagree on the rest:
    similarity of raw logits (cosine) or of probabilities, a floor or none, KL with t_i^2 or cross-entropy
    without. The authors' numbers for CIFAR-100 are not known to us: tau and the weights are KD's, bias and
    power TextBrewer's example. Cosine, alone in this folder, changes when a constant is added to all logits.

    Args:
        rule: how confusion is measured: focal-loss style, or weighted by the student's confidence.
        tau: mean temperature of a batch before the floor, > 0.
        bias: how far the temperature follows the confusion; 0 is plain KD.
        power: exponent of "flsw".
        similarity: what "flsw" compares.
        min_tau: floor of the temperature, > 0 and at most tau; without one it can fall below zero.
        shift: correct the teacher first, as `la` does, which makes the paper's full method.

    Needs: all logits, the batch's mean of w (a batch of one has t_i = tau); with shift, which is the label's.

    Raises:
        ConfigError: the floor lies above tau.
    """
    if min_tau > tau:
        raise ConfigError(
            f"dtd: min_tau={min_tau:g} is above tau={tau:g}; expected a floor at or below the mean temperature. "
            "Lower min_tau, or raise tau."
        )
    refine = probability_shift if shift else keep
    confusion = cwsm if rule == "cwsm" else flsw(power, similarity)
    term = Term(refine=refine, temperature=following(confusion, tau, bias, min_tau), divergence=kl)
    return Method(name="dtd", terms=(term,), hard_weight=0.1, soft_weight=0.9)


def following(confusion: Confusion, tau: float, bias: float, min_tau: float) -> Temperature:
    """`tau`, lower by `bias` x the confusion above the batch's mean; no gradient; the gain is its square."""

    def temperature(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        del labels
        weight = confusion(student.detach(), teacher)
        shared = (tau + bias * (weight.mean() - weight)).clamp_min(min_tau)[:, None]
        return Temperatures(student=shared, teacher=shared, gain=shared**2)

    return temperature


def flsw(power: float, similarity: str) -> Confusion:
    """How little student and teacher agree, to a power."""

    def confusion(student: Logits, teacher: Logits) -> PerSample:
        if similarity == "cosine":
            # 1e-4 as in TextBrewer; a row of zeros is then far from everything
            student = student / (student.norm(dim=-1, keepdim=True) + 1e-4)
            teacher = teacher / (teacher.norm(dim=-1, keepdim=True) + 1e-4)
        else:
            student, teacher = student.softmax(dim=-1), teacher.softmax(dim=-1)
        # rounding can bring 1 - cosine below zero, and a fractional power of that is NaN
        return (1 - (student * teacher).sum(dim=-1)).clamp_min(0) ** power

    return confusion


def cwsm(student: Logits, teacher: Logits) -> PerSample:
    """How little the student believes in its best class."""
    del teacher
    return 1 / (student.softmax(dim=-1).amax(dim=-1) + 1e-3)  # 1e-3 as in TextBrewer
