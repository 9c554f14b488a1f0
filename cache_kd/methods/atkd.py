"""A temperature for every sample, from its largest standardised logit."""

import math
from typing import Literal

import torch

from cache_kd.distill import Method, Temperature, Temperatures, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import deviation
from cache_kd.types import Labels, Logits, Tau

# 1.3660: with x = largest logit / temperature = sqrt 3 - 1 it solves x + x^2 / 2 = 1
FACTOR = (1 + math.sqrt(3)) / 2


def atkd(factor: Positive = FACTOR, of: Literal["both", "teacher"] = "both") -> Method:
    """Matsuyama et al., Adaptive Temperature Based on Logits Correlation in Knowledge Distillation,
    2025 (arXiv 2503.09030).

    t_i^2 KL(softmax(z(v) / t_i) || softmax(z(s) / t_i)), with z the z-score over the classes and t_i = factor
    times the largest logit. Which one, paper and code disagree. The abstract speaks of the teacher's maximum:
    of="teacher", the largest z(v). The code takes the largest absolute value of z(s) and z(v) together:
    of="both", the default, as it is the code that was measured.

    Args:
        factor: temperature per unit of the largest logit, > 0.
        of: whose largest logit.

    Needs: all logits; with of="both" the teacher's smallest can decide the temperature.
    """
    term = Term(refine=keep, temperature=largest_logit(factor, of), divergence=kl)
    return Method(name="atkd", terms=(term,), hard_weight=0.1, soft_weight=9.0)


def largest_logit(factor: float, of: str) -> Temperature:
    """`factor` times the largest z-score, one for both sides, without gradient; the gain is its square."""

    def rule(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        del labels
        student_deviation, teacher_deviation = deviation(student), deviation(teacher)
        with torch.no_grad():
            highest, lowest = extremes(teacher, teacher_deviation)
            if of == "both":
                compared = (highest, lowest, *extremes(student, student_deviation))
                highest = torch.cat(compared, dim=-1).abs().amax(dim=-1, keepdim=True)
            # the largest z-score of a row that varies is at least 1 / sqrt(classes); a constant row has 0
            least = 0.5 / math.sqrt(teacher.shape[-1])
            tau = factor * highest.clamp_min(least)
        return Temperatures(student=tau * student_deviation, teacher=tau * teacher_deviation, gain=tau**2)

    return rule


def extremes(logits: Logits, deviation: Tau) -> tuple[Tau, Tau]:
    """The largest and the smallest z-score of each row."""
    mean = logits.mean(dim=-1, keepdim=True)
    lowest, highest = torch.aminmax(logits, dim=-1, keepdim=True)
    return (highest - mean) / deviation, (lowest - mean) / deviation
