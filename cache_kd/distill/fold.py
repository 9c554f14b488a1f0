"""Several teachers as one: their logits folded before a method sees them."""

from collections.abc import Sequence
from typing import Literal

import torch

from cache_kd.types import Logits, TeacherLogits

Fold = Literal["mean_probabilities", "mean_logits", "draw"]


def fold(logits: TeacherLogits, how: Fold, weights: Sequence[float], chosen: int = 0) -> Logits:
    """One teacher's logits out of several teachers'.

    Args:
        logits: raw, [teachers, batch, classes]; teachers over the same views of the same samples.
        how: "mean_probabilities": logits of the mean of the softmax at temperature 1, an ensemble's usual vote;
            "mean_logits": the mean of the logits, each row centred first, since no softmax sees a row's mean;
            "draw": the teacher `chosen`, alone.
        weights: of the teachers, > 0; they need not add up to 1.
        chosen: by the caller, for "draw".
    """
    if how == "draw":
        return logits[chosen]
    share = logits.new_tensor(list(weights)) / sum(weights)
    column = share[:, None, None]
    if how == "mean_logits":
        return (column * (logits - logits.mean(dim=-1, keepdim=True))).sum(dim=0)
    return torch.logsumexp(logits.log_softmax(dim=-1) + column.log(), dim=0)
