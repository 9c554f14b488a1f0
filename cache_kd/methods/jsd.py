"""Between KD and its reverse, and bounded: both against their mixture."""

import torch

from cache_kd.distill import Divergence, Method, Term
from cache_kd.distill.knob import Fraction, Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.types import Labels, Logits, PerSample


def jsd(beta: Fraction = 0.5, tau: Positive = 4.0) -> Method:
    """Agarwal et al., On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes,
    ICLR 2024 (arXiv 2306.13649).

    tau^2 (beta KL(p || m) + (1 - beta) KL(q || m)), with p the teacher's and q the student's softmax at tau, and
    m = beta p + (1 - beta) q: the generalised Jensen-Shannon divergence.

    The paper is about language models; for classifiers this is textbook, with the numbers of `kd`.

    Args:
        beta: share of the teacher in the mixture, between 0 and 1; 0.5 is Jensen-Shannon.
        tau: temperature of both sides, > 0.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=Constant(tau), divergence=jensen_shannon(beta))
    return Method(name="jsd", terms=(term,), hard_weight=0.1, soft_weight=0.9)


def jensen_shannon(beta: float) -> Divergence:
    """beta KL(teacher || mixture) + (1 - beta) KL(student || mixture)."""

    def divergence(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
        del labels
        log_p, log_q = teacher.log_softmax(dim=-1), student.log_softmax(dim=-1)
        p, q = log_p.exp(), log_q.exp()
        mixture = beta * p + (1 - beta) * q
        # both can underflow to 0, and 0 log 0 is 0
        log_mixture = mixture.clamp_min(torch.finfo(mixture.dtype).tiny).log()
        return (beta * p * log_p + (1 - beta) * q * log_q - mixture * log_mixture).sum(dim=-1)

    return divergence
