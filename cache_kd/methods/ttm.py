"""A temperature on the teacher alone."""

from cache_kd.distill import Method, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import power_transform


def ttm(gamma: Positive = 0.1) -> Method:
    """Zheng and Yang, Knowledge Distillation Based on Transformed Teacher Matching, ICLR 2024 (arXiv 2402.11148).

    KL(softmax(gamma v) || softmax(s)): the teacher at temperature 1 / gamma, the student at 1, no tau^2.

    Args:
        gamma: exponent of the teacher's probabilities, > 0; with it goes the soft weight, 45 for 0.1 in the
            authors' vgg13-vgg8 command, the only one they publish.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=power_transform(gamma, weighted=False), divergence=kl)
    return Method(name="ttm", terms=(term,), hard_weight=1.0, soft_weight=45.0)
