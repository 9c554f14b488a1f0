"""What holds even of a wrong teacher: how sure it is, and how the classes below the label relate."""

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.divergence import kl, kl_without, one_against_rest
from cache_kd.distill.knob import NonNegative, Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.schedule import warm_up
from cache_kd.types import Labels, Logits, PerSample

CIFAR = Published(knobs={"sc_tau": 4.0}, soft_weight=warm_up(20))
IMAGENET = Published(knobs={"beta": 0.5, "tau": 1.0}, soft_weight=warm_up(1))


def rld(
    alpha: NonNegative = 1.0,
    beta: NonNegative = 8.0,
    tau: Positive = 4.0,
    sc_tau: Positive = 1.0,
) -> Method:
    """Sun et al., Knowledge Distillation with Refined Logits, ICCV 2025 (arXiv 2408.07703).

    alpha sc_tau^2 SC + beta tau^2 MC. SC (sample confidence) is the binary KL between the teacher's "my best
    class or not" and the student's "the label or not". MC (masked correlation) is the KL among the classes
    that the teacher puts below the label. Where the teacher is right this is DKD.

    The defaults are those of the authors' code; its CIFAR-100 command sets sc_tau to tau, and the alpha and beta
    of each pair are not published with it. That code takes logarithms after the softmax and is not finite on
    saturated logits; this is. On standardised logits, which is the temperature of `lskd`, the authors take
    tau = 2, alpha = 9 and beta = 72.

    Args:
        alpha: weight of SC.
        beta: weight of MC; on ImageNet 0.5 (R34-R18) or 2 (R50-MV1).
        tau: temperature of MC, > 0.
        sc_tau: temperature of SC, > 0.

    Needs: all logits, which of them is the label's, and its rank.
    """
    sc = Term(refine=keep, temperature=Constant(sc_tau), divergence=sample_confidence, weight=alpha)
    mc = Term(refine=keep, temperature=Constant(tau), divergence=masked_correlation, weight=beta)
    why = "it is made for the teacher as it is; with a corrected teacher, always right, it is dkd"
    return Method(name="rld", terms=(sc, mc), hard_weight=1.0, soft_weight=1.0, fixed={"refine": why})


def sample_confidence(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Binary KL: the student gives the label what the teacher gives its best class (the first of equals)."""
    return kl(one_against_rest(student, labels), one_against_rest(teacher, teacher.argmax(dim=-1)), labels)


def masked_correlation(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """KL among the classes strictly below the label in the teacher; 0 where there is none."""
    return kl_without(teacher >= teacher.gather(-1, labels[:, None]), student, teacher, labels)
