"""A temperature on the teacher alone, and more weight where the teacher is unsure."""

from cache_kd.distill import Method, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import power_transform


def wttm(gamma: Positive = 0.2) -> Method:
    """Zheng and Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024 (arXiv 2402.11148).

    U KL(softmax(gamma v) || softmax(s)), with U the sum of the teacher's probabilities to the power gamma: `ttm`
    with a weight per sample, from 1 where the teacher is certain to classes^(1 - gamma).

    Args:
        gamma: exponent of the teacher's probabilities, > 0; the soft weight of 4 is that of the authors'
            command with 0.2, where it is added to another method.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=power_transform(gamma, weighted=True), divergence=kl)
    return Method(name="wttm", terms=(term,), hard_weight=1.0, soft_weight=4.0)
