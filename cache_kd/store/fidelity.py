"""What a codec costs, measured on rows whose exact logits are kept: the label that every store wears."""

from collections.abc import Iterable

import torch
from torch.nn.functional import kl_div, log_softmax

from cache_kd.config import Config
from cache_kd.types import Logits

TEMPERATURES = (1, 2, 4)  # of papers that soften at a fixed temperature, and what lies between

# Exact rows that a store keeps: enough to know KL to 5 %, and no more bytes than a few chunks.
MOST_ROWS, MOST_BYTES = 1024, 2**22


class Fidelity(Config):
    """How far stored logits are from the exact ones.

    Attributes:
        rows: that were compared.
        kl: mean KL(softmax(exact / T) || softmax(stored / T)) in nats, by the temperature T.
        top1: share of the rows whose largest logit is of the same class.
        largest_error: |stored - exact|, over all rows and classes.
        std_error: mean of |stored - exact| of a row's standard deviation, as a share of the exact one.
    """

    rows: int
    kl: dict[int, float]
    top1: float
    largest_error: float
    std_error: float

    def __str__(self) -> str:
        """One line for people."""
        divergences = ", ".join(f"{value:.1e} at T={temperature}" for temperature, value in self.kl.items())
        return f"KL {divergences}; top-1 kept in {100 * self.top1:.2f} % of {self.rows:,} rows"


def measure_fidelity(exact: Logits, stored: Logits, temperatures: Iterable[int] = TEMPERATURES) -> Fidelity:
    """Compare logits with what a codec made of them, in float64.

    Args:
        exact: as the teacher gave them.
        stored: the same rows decoded.
        temperatures: of the divergences.
    """
    ours, theirs = stored.double(), exact.double()
    spread = theirs.std(dim=1)
    return Fidelity(
        rows=len(exact),
        kl={temperature: _divergence(theirs / temperature, ours / temperature) for temperature in temperatures},
        top1=float((ours.argmax(1) == theirs.argmax(1)).double().mean()),
        largest_error=float((ours - theirs).abs().max()),
        std_error=float(((ours.std(dim=1) - spread).abs() / spread.clamp(min=torch.finfo(torch.float64).tiny)).mean()),
    )


def exact_rows(rows: int, classes: int) -> int:
    """How many of `rows` are kept exactly."""
    return max(1, min(rows, MOST_ROWS, MOST_BYTES // (4 * classes)))


def _divergence(exact: Logits, stored: Logits) -> float:
    # rounding of equal rows may come out below zero
    of_batch = kl_div(log_softmax(stored, 1), log_softmax(exact, 1), reduction="batchmean", log_target=True)
    return max(float(of_batch), 0.0)
