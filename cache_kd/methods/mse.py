"""Match the logits themselves."""

from cache_kd.distill import Method, Term
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import RAW
from cache_kd.types import Labels, Logits, PerSample


def mse() -> Method:
    """Kim et al., Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in Knowledge Distillation,
    IJCAI 2021 (arXiv 2105.08919); the idea is Ba and Caruana's, 2014 (arXiv 1312.6184).

    The mean over the classes of (s - v)^2.

    The limit of KD at high temperatures, up to the mean of the logits, which softmax does not see and this
    does. The weights are those of `kd`, for comparison.

    Needs: all logits.
    """
    term = Term(refine=keep, temperature=RAW, divergence=squared_distance)
    why = "it compares the logits as they are"
    return Method(name="mse", terms=(term,), hard_weight=0.1, soft_weight=0.9, fixed={"temperature": why})


def squared_distance(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
    """Mean over the classes of the squared difference."""
    del labels
    return (student - teacher).square().mean(dim=-1)
