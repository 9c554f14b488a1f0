"""Plain KD taken apart: how sure of the label, and how the other classes relate, each with its own weight."""

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.divergence import kl_of_label, kl_of_others
from cache_kd.distill.knob import NonNegative, Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.schedule import warm_up

CIFAR = Published(soft_weight=warm_up(20))
IMAGENET = Published(knobs={"tau": 1.0, "beta": 0.5}, soft_weight=warm_up(1))


def dkd(alpha: NonNegative = 1.0, beta: NonNegative = 8.0, tau: Positive = 4.0) -> Method:
    """Zhao et al., Decoupled Knowledge Distillation, CVPR 2022 (arXiv 2203.08679).

    alpha tau^2 TCKD + beta tau^2 NCKD. TCKD is the binary KL between "the label or not" of teacher and student,
    NCKD the KL among all classes but the label. Plain KD is TCKD + (1 - p) NCKD, with p the teacher's
    probability of the label.

    The authors' code leaves the label a weight of e^-1000 in NCKD and takes logarithms after the softmax, which
    is not finite on saturated logits; here the label is left out and the sum stays in logarithms.

    Args:
        alpha: weight of TCKD.
        beta: weight of NCKD; the authors take 2 (res56-20, res110-32), 6 (vgg13 and wrn40-2 pairs) or 8 on
            CIFAR-100, 0.5 (R34-R18) or 2 (R50-MV1) on ImageNet.
        tau: temperature, > 0.

    Needs: all logits, and which of them is the label's.
    """
    target = Term(refine=keep, temperature=Constant(tau), divergence=kl_of_label, weight=alpha)
    rest = Term(refine=keep, temperature=Constant(tau), divergence=kl_of_others, weight=beta)
    return Method(name="dkd", terms=(target, rest), hard_weight=1.0, soft_weight=1.0)
