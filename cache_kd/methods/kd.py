"""The classic: match the teacher's softened probabilities."""

from cache_kd.distill import Method, Published, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant

IMAGENET = Published(knobs={"tau": 1.0}, hard_weight=0.5, soft_weight=0.5)


def kd(tau: Positive = 4.0) -> Method:
    """Hinton et al., Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531).

    tau^2 KL(softmax(v / tau) || softmax(s / tau)), with s the student's and v the teacher's logits.

    The paper prescribes no numbers; these are the customary baseline's. The LSKD authors' code runs "KD" with
    tau = 2 and a soft weight of 9, which is another baseline.

    Args:
        tau: temperature of both sides, > 0.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=Constant(tau), divergence=kl)
    return Method(name="kd", terms=(term,), hard_weight=0.1, soft_weight=0.9)
