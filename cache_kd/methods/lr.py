"""Imitate a right teacher's logits, and a wrong one's probabilities moved towards the label."""

from torch import Tensor
from torch.nn import functional as F

from cache_kd.distill import Divergence, Method, Term
from cache_kd.distill.knob import Fraction, NonNegative
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import RAW
from cache_kd.types import Labels, Logits, PerSample


def lr(right_weight: NonNegative = 4.0, wrong_weight: NonNegative = 1.0, eta: Fraction = 0.8) -> Method:
    """Lan et al., Improve Knowledge Distillation via Label Revision and Data Selection, 2024 (arXiv 2404.03693).

    Where the teacher is right: CE(s, y) + right_weight mean (s - v)^2. Where it is wrong: wrong_weight
    mean (p(s) - b p(v) - (1 - b) y)^2, with b = eta / (max p(v) - p_y(v) + 1). The mean of each kind is taken
    over its own samples, then they are added.

    This is label revision as the RLD authors run it as a baseline; data selection is not part of it. It holds
    its own cross-entropy, on the samples where the teacher is right, and no other.

    Args:
        right_weight: of the squared distance of logits.
        wrong_weight: of the squared distance of probabilities.
        eta: how much of the teacher a revised label keeps at most.

    Needs: all logits, which of them is the label's, and the batch (how many are right).
    """
    right = Term(refine=keep, temperature=RAW, divergence=imitated(right_weight))
    wrong = Term(refine=keep, temperature=RAW, divergence=revised(eta), weight=wrong_weight)
    why = "it compares logits and probabilities as they are, with a correction of its own"
    return Method(
        name="lr", terms=(right, wrong), hard_weight=0.0, soft_weight=1.0, fixed={"refine": why, "temperature": why}
    )


def imitated(weight: float) -> Divergence:
    """Cross-entropy with the label and `weight` x mean squared distance of the logits, where the teacher is right."""

    def divergence(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
        distance = (student - teacher).square().mean(dim=-1)
        hard = F.cross_entropy(student, labels, reduction="none")
        return averaged_over(teacher.argmax(dim=-1) == labels, hard + weight * distance)

    return divergence


def revised(eta: float) -> Divergence:
    """Mean squared distance of the probabilities from the revised label, where the teacher is wrong."""

    def divergence(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
        at_label = labels[:, None]
        likely = teacher.softmax(dim=-1)
        kept = eta / (likely.amax(dim=-1, keepdim=True) - likely.gather(-1, at_label) + 1)
        target = (kept * likely).scatter_add(-1, at_label, 1 - kept)
        distance = (student.softmax(dim=-1) - target).square().mean(dim=-1)
        return averaged_over(teacher.argmax(dim=-1) != labels, distance)

    return divergence


def averaged_over(chosen: Tensor, values: PerSample) -> PerSample:
    """Values whose mean over the batch is the mean of the chosen ones; 0 for the others."""
    share = chosen.to(values.dtype).mean()
    return values.where(chosen, 0.0) / share.clamp_min(1 / len(values))
