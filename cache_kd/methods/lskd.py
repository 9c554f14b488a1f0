"""Match z-scored logits: their shape, not their size."""

from cache_kd.distill import Method, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import standardised


def lskd(tau: Positive = 2.0) -> Method:
    """Sun et al., Logit Standardization in Knowledge Distillation, CVPR 2024 (arXiv 2403.01427).

    tau^2 KL(softmax(z(v) / tau) || softmax(z(s) / tau)), with z the z-score over the classes.

    The paper's Algorithm 1 divides by the deviation over n, its code by the one over n - 1 (5 % apart at 10
    classes) plus 1e-7; here as in the code. The paper's is tau sqrt((n - 1) / n) with n / (n - 1) times the soft
    weight. Lent to `dkd` or `rld`, the authors also multiply their weights by
    9: alpha = 9, beta = 72.

    Args:
        tau: temperature of the z-scores, > 0; the table's pairs have 2 to 4 with soft weights of 1 to 15.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=standardised(tau), divergence=kl)
    return Method(name="lskd", terms=(term,), hard_weight=0.1, soft_weight=9.0)
