"""KD the other way round: the student avoids what the teacher finds unlikely."""

from cache_kd.distill import Method, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.types import Labels, Logits, PerSample


def reverse_kl(tau: Positive = 4.0) -> Method:
    """Gu et al., MiniLLM: Knowledge Distillation of Large Language Models, ICLR 2024 (arXiv 2306.08543).

    tau^2 KL(softmax(s / tau) || softmax(v / tau)).

    The paper is about language models; for classifiers this is textbook, with the numbers of `kd`.

    Args:
        tau: temperature of both sides, > 0.

    Needs: all logits, the small ones as exactly as the large.
    """
    term = Term(refine=keep, temperature=Constant(tau), divergence=kl_of_student)
    return Method(name="reverse_kl", terms=(term,), hard_weight=0.1, soft_weight=0.9)


def kl_of_student(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """KL(student || teacher)."""
    return kl(teacher, student, labels)
