"""Correct the teacher by the label before imitating it."""

import math
from typing import Literal

import torch

from cache_kd.distill import Method, Published, Refine, Role, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Fraction, Positive
from cache_kd.distill.refine import probability_shift
from cache_kd.distill.temperature import Constant
from cache_kd.types import Labels, Logits

IMAGENET = Published(knobs={"tau": 1.0})


def la(
    tau: Positive = 4.0,
    style: Literal["shift", "label_smooth"] = "shift",
    label_probability: Fraction = 0.9,
) -> Method:
    """Wen et al., Preparing Lessons: Improve Knowledge Distillation with Better Supervision,
    2019 (arXiv 1911.07471).

    tau^2 KL(softmax(v' / tau) || softmax(s / tau)), with v' = v where the teacher is right. Where it is
    wrong, "shift" exchanges its largest logit and the label's; "label_smooth" puts a smoothed label in its
    place.

    This is the paper's knowledge adjustment; `dtd` is its other half. There is no official code: the name,
    tau and the weights (no cross-entropy at all) are those of the baseline that the RLD authors ran.

    Args:
        tau: temperature of both sides, > 0.
        style: what becomes of a wrong teacher.
        label_probability: what "label_smooth" gives to the label, after the temperature.

    Needs: all logits, and which of them is the label's.
    """
    refine = probability_shift if style == "shift" else smoothed_label(label_probability, tau)
    term = Term(refine=refine, temperature=Constant(tau), divergence=kl)
    # the probabilities of a smoothed label are those after this temperature
    fixed: dict[Role, str] = {"temperature": "a smoothed label belongs to one constant temperature"}
    return Method(name="la", terms=(term,), hard_weight=0.0, soft_weight=1.0, fixed={} if style == "shift" else fixed)


def smoothed_label(probability: float, tau: float) -> Refine:
    """A wrong teacher replaced: softened by `tau`, the label has `probability`, the others share the rest."""

    def refine(student: Logits, teacher: Logits, labels: Labels) -> Logits:
        del student
        other = (1 - probability) / (teacher.shape[-1] - 1)
        smoothed = torch.full_like(teacher, tau * math.log(other))
        smoothed = smoothed.scatter(-1, labels[:, None], tau * math.log(probability))
        wrong = teacher.argmax(dim=-1) != labels
        return torch.where(wrong[:, None], smoothed, teacher)

    return refine
