"""Temperatures that several methods use: constant, on z-scored logits, or on the teacher's side alone."""

from dataclasses import dataclass

import torch

from cache_kd.distill.term import Temperature, Temperatures
from cache_kd.types import Labels, Logits, Tau

# Added to a standard deviation by every published z-score of logits: a constant row then has a finite loss.
EPSILON = 1e-7


@dataclass(frozen=True)
class Constant:
    """The same `tau` > 0 for every sample and both sides; the gain is tau^2 (Hinton et al., 2015).

    A class and not a closure: one can ask whether a method's temperature is this, the plain one.
    """

    tau: float

    def __call__(self, student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        """The three numbers, each [1, 1]."""
        del teacher, labels
        everywhere = student.new_full((1, 1), self.tau)
        return Temperatures(student=everywhere, teacher=everywhere, gain=everywhere**2)


RAW = Constant(1.0)  # for divergences that compare the logits themselves


def standardised(tau: float) -> Temperature:
    """`tau` > 0 on z-scored logits; the gain is the square of `tau` alone.

    A z-score needs no role of its own: softmax ignores the mean, so dividing by the deviation is all of it.
    The gradient flows through the student's deviation, as in the authors' code.

    References: Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024 (arXiv 2403.01427).
    """

    def rule(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        del labels
        gain = student.new_full((1, 1), tau**2)
        return Temperatures(student=tau * deviation(student), teacher=tau * deviation(teacher), gain=gain)

    return rule


def power_transform(gamma: float, *, weighted: bool) -> Temperature:
    """The teacher's probabilities to the power `gamma` > 0, the student's as they are: 1 / gamma on one side.

    The gain is 1, or with `weighted` the sum of the powers: large where the teacher is unsure, up to
    classes^(1 - gamma).

    References: Zheng and Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024
    (arXiv 2402.11148).
    """

    def rule(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        del labels
        gain = (gamma * teacher.log_softmax(dim=-1)).logsumexp(dim=-1, keepdim=True).exp()
        one = student.new_ones((1, 1))
        return Temperatures(student=one, teacher=one / gamma, gain=gain if weighted else one)

    return rule


def without_gain(temperature: Temperature) -> Temperature:
    """The same temperatures, but the loss is not multiplied back."""

    def rule(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        tau = temperature(student, teacher, labels)
        return Temperatures(student=tau.student, teacher=tau.teacher, gain=torch.ones_like(tau.gain))

    return rule


def deviation(logits: Logits) -> Tau:
    """Standard deviation over the classes (n - 1 below the sum), plus `EPSILON`."""
    return standard_deviation(logits) + EPSILON


def standard_deviation(logits: Logits) -> Tau:
    """Standard deviation over the classes, n - 1 below the sum; a constant row has 0, and gradient 0.

    Two passes over the row instead of `Tensor.std`, whose one careful pass takes 8 times as long on a CPU.
    """
    # the mean without its gradient: the deviations add up to zero, so nothing would flow through it
    centred = logits - logits.detach().mean(dim=-1, keepdim=True)
    variance = centred.square().sum(dim=-1, keepdim=True) / (logits.shape[-1] - 1)
    # below the least normal number, where the square root has no derivative, nothing flows either
    return variance.clamp_min(torch.finfo(logits.dtype).tiny).sqrt()
