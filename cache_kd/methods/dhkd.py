"""A second head learns the teacher's logits, so that they never quarrel with the labels in the first."""

import math
from typing import Literal

from torch import nn
from torch.nn import functional as F

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.types import Labels, Logits, PerSample

IMAGENET = Published(knobs={"head": "linear", "aligned": False}, soft_weight=0.1)

# log(p / (1 - p)) at p = 1 - 1e-8: the authors' clamp of a probability, as a clamp of its logit
BOUND = math.log((1 - 1e-8) / 1e-8)


def dhkd(
    tau: Positive = 2.0,
    form: Literal["difference", "binary"] = "difference",
    head: Literal["mlp", "linear"] = "mlp",
    aligned: bool = True,
) -> Method:
    """Yang et al., Dual-Head Knowledge Distillation: Enhancing Logits Utilization with an Auxiliary Head,
    2024 (arXiv 2411.08937).

    tau^2 sum over classes of KL(1/2 || sigmoid((s - v) / tau)), with s from a second head on the student's
    features; the first head learns from the labels alone.

    The code has this form, "difference", for training and leaves the paper's sigmoid(v / tau) against
    sigmoid(s / tau), "binary", unused. It clamps probabilities to 1e-8, and so does this: a class further off
    has no gradient.

    Args:
        tau: temperature, > 0.
        form: what is compared.
        head: of 200 hidden units with batch norm and dropout 0.1, or linear.
        aligned: the second head's gradient loses what points against the gradient of the labels' loss.

    Needs: all logits; it brings a second head.
    """
    divergence = even_odds if form == "difference" else binary_kl
    term = Term(refine=keep, temperature=Constant(tau), divergence=divergence)
    return Method(
        name="dhkd",
        terms=(term,),
        hard_weight=1.0,
        soft_weight=1.0,
        head=mlp_head if head == "mlp" else nn.Linear,
        aligned=aligned,
        fixed={"temperature": "it compares logits class by class, so both sides need the same one"},
    )


def even_odds(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Sum over the classes of KL(1/2 || sigmoid(student - teacher)): 0 where the logits are equal."""
    del labels
    difference = (student - teacher).clamp(-BOUND, BOUND)
    # -log 2 - (log sigmoid(d) + log sigmoid(-d)) / 2, which is log cosh(d / 2)
    return (F.softplus(difference) - 0.5 * difference - math.log(2)).sum(dim=-1)


def binary_kl(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Sum over the classes of KL(sigmoid(teacher) || sigmoid(student))."""
    del labels
    student, teacher = student.clamp(-BOUND, BOUND), teacher.clamp(-BOUND, BOUND)
    likely = teacher.sigmoid()
    gained = likely * (F.logsigmoid(teacher) - F.logsigmoid(student))
    return (gained + (1 - likely) * (F.logsigmoid(-teacher) - F.logsigmoid(-student))).sum(dim=-1)


def mlp_head(features: int, classes: int) -> nn.Module:
    """The authors' second head for CIFAR-100."""
    return nn.Sequential(
        nn.Linear(features, 200), nn.Dropout(0.1), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, classes)
    )
