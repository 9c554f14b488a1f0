"""A temperature that is learned against the student."""

import torch
from torch import nn

from cache_kd.distill import Method, Published, Temperatures, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Finite, Positive
from cache_kd.distill.refine import keep
from cache_kd.schedule import Course
from cache_kd.types import Labels, Logits


def _curriculum(epochs: int) -> Course:
    return Course(points=((0, 0.0), (epochs, -1.0)), between="cosine")


CIFAR = Published(knobs={"strength": _curriculum(10)})
IMAGENET = Published(knobs={"strength": _curriculum(5)}, hard_weight=1.0, soft_weight=1.0)


def ctkd(strength: Finite = -1.0, least: Positive = 1.0, span: Positive = 20.0) -> Method:
    """Li et al., Curriculum Temperature for Knowledge Distillation, AAAI 2023 (arXiv 2211.16231).

    t^2 KL(softmax(v / t) || softmax(s / t)), with t = least + span sigmoid(w) and w a parameter, 1 at first
    (t = 15.6), that the student's optimiser trains with its gradient multiplied by `strength`.

    At strength -1 the temperature makes the loss larger while the student makes it smaller. This is the global
    temperature, the only one in the authors' code; the paper's temperature per sample is not there.

    Args:
        strength: factor of the temperature's gradient; negative: against the student.
        least: lowest temperature, > 0.
        span: from the lowest to the highest temperature, > 0.

    Needs: all logits; it brings a parameter.
    """
    term = Term(refine=keep, temperature=LearnedTemperature(strength, least, span), divergence=kl)
    return Method(name="ctkd", terms=(term,), hard_weight=0.1, soft_weight=0.9)


class LearnedTemperature(nn.Module):
    """One temperature for all samples, between `least` and `least + span`; the gain is its square."""

    def __init__(self, strength: float, least: float, span: float) -> None:
        super().__init__()
        self.strength, self.least, self.span = strength, least, span
        self.weight = nn.Parameter(torch.ones(1, 1))

    def forward(self, student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        """The temperature, with its gradient reversed."""
        del teacher, labels
        # the value is w, the derivative `strength`
        reversed_weight = self.strength * self.weight + (1 - self.strength) * self.weight.detach()
        tau = self.least + self.span * reversed_weight.to(student.dtype).sigmoid()
        return Temperatures(student=tau, teacher=tau, gain=tau**2)
