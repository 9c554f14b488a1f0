"""KD, and the student taught by itself with the label's logit raised."""

from cache_kd.distill import Method, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import NonNegative, Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.types import Labels, Logits


def rc(tau: Positive = 4.0, self_weight: NonNegative = 0.1) -> Method:
    """The baseline RC of Sun et al., Knowledge Distillation with Refined Logits, ICCV 2025 (arXiv 2408.07703).

    tau^2 KL(p(v) || p(s)) + self_weight tau^2 KL(p(s') || p(s)), with p the softmax at tau and s' the student's
    own logits, held fixed, the label's with the largest added to it.

    Which paper the name stands for is not known to us; formula and weights are those of the RLD authors' code.

    Args:
        tau: temperature of both sides, > 0.
        self_weight: weight of the student's own corrected logits.

    Needs: all logits, and which class is the label.
    """
    taught = Term(refine=keep, temperature=Constant(tau), divergence=kl)
    corrected = Term(refine=raised_label, temperature=Constant(tau), divergence=kl, weight=self_weight)
    why = "one of its terms imitates the student itself"
    return Method(name="rc", terms=(taught, corrected), hard_weight=1.0, soft_weight=1.0, fixed={"refine": why})


def raised_label(student: Logits, teacher: Logits, labels: Labels) -> Logits:
    """The student's logits, its largest one added to the label's."""
    del teacher
    at_label = labels[:, None]
    return student.scatter(-1, at_label, student.gather(-1, at_label) + student.amax(dim=-1, keepdim=True))
