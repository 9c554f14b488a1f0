"""Logits from the largest probabilities of a softmax, where the rest was not kept."""

from cache_kd.types import Logits, TopClasses, TopLogits


def spread_logits(
    top: TopClasses, probabilities: TopLogits, *, classes: int, temperature: float, rounding: float
) -> Logits:
    """`temperature` times the log of a softmax of which only the largest values are known.

    What they leave of 1 is spread evenly over the other classes, as FKD's marginal smoothing does. The softmax of the
    result at `temperature` is that distribution; the logits themselves are known up to one number per row.

    Args:
        top: the classes that were kept, int64 [batch, top].
        probabilities: of those, float32 [batch, top].
        classes: of the whole softmax.
        temperature: that the teacher's logits were divided by, > 0.
        rounding: of a probability close to 1. The rest counts as half of it at least, for sums of rounded numbers
            exceed 1; no other class becomes likelier than one that was kept, and none impossible.

    References: Shen and Xing, A Fast Knowledge Distillation Framework for Visual Recognition, ECCV 2022.

    >>> import torch
    >>> kept, shares = torch.tensor([[2, 0]]), torch.tensor([[0.5, 0.3]])
    >>> spread_logits(kept, shares, classes=4, temperature=2.0, rounding=1e-7).div(2).softmax(1)
    tensor([[0.3000, 0.1000, 0.5000, 0.1000]])
    """
    rest = (1 - probabilities.sum(1, keepdim=True)).clamp(min=rounding / 2)
    even = rest / max(classes - top.shape[1], 1)
    others = even.minimum(probabilities.amin(1, keepdim=True)).clamp(min=rounding**2)
    spread = others.expand(-1, classes).scatter(1, top, probabilities.maximum(others))
    return temperature * spread.log()
