"""Which of a row's smaller logits is the larger one, foreseen from its largest: a linear guess in whole numbers."""

import math

import numpy as np
import torch
from torch import Tensor

from cache_kd.store.codec import Parameters
from cache_kd.store.principal import principal_directions
from cache_kd.store.quantise import LEAST
from cache_kd.types import ClassOrder, ClassScores, Logits, Ticks

RANK = 64  # directions of the rows that the guess knows; 32 do as well for 100 classes
RIDGE = 0.02  # of the mean square of an input; 0.1 gives the same figures to 2 %

LEAST_DAMPING = 1e-3  # of inputs that never vary; a tick squared is 1
NOTHING = 1e-9  # of the largest logit, for a tick: less moves no class past another

# All numbers that are multiplied are whole and below 2^8, all sums below 2^24: float32, TF32 and bfloat16 products
# come out exactly, in whatever order they are added. So one row has one order on every device, in any batch.
MOST_TICKS, MOST_WEIGHT, MOST_COEFFICIENT = 255, 127, 255
MOST_SCORE = 2**15 - 2  # of 16 bits; one less is left for what comes last
PRESENCE = 32  # ticks of a logit that is barely among the largest: that it is there says something by itself


def fit_foresight(ticks: Ticks, logits: Logits) -> Parameters:
    """What `foresee` takes beside the ticks, from rows whose logits are known.

    Ridge regression from the ticks to the principal components of the rows, then all of it as small whole numbers.

    Args:
        ticks: of the largest logits of each row, 0 for all others; on the CPU.
        logits: of all classes.
    """
    rows = logits.double() - logits.double().mean(dim=1, keepdim=True)
    rows = (rows / rows.abs().max().clamp(min=LEAST)).float()  # only their order matters
    mean, basis = principal_directions(rows, min(RANK, *rows.shape))
    inputs = ticks.double()
    centre = inputs.mean(dim=0)
    weight = ridge(inputs - centre, (rows - mean).double() @ basis.T.double())
    into, into_unit = _whole(weight, MOST_WEIGHT)
    out, out_unit = _whole(basis.double(), MOST_WEIGHT)
    coefficients = inputs @ into
    into_share = _power_of_two(MOST_COEFFICIENT / float(coefficients.abs().max().clamp(min=1)))
    offset = (mean.double() - (centre @ weight) @ basis.double()) / (into_unit * out_unit / into_share)
    scores = (coefficients * into_share) @ out + offset
    out_share = _power_of_two(MOST_SCORE / float(scores.abs().max().clamp(min=1)))
    return {
        "into": into.to(torch.int8),
        "out": out.to(torch.int8),
        "offset": (offset * out_share).round().clamp(-MOST_SCORE, MOST_SCORE).to(torch.int16),
        "shares": torch.tensor([into_share, out_share]),
    }


def foresee(ticks: Ticks, into: Tensor, out: Tensor, offset: Tensor, shares: Tensor) -> ClassScores:
    """A whole number for each class of each row: the larger, the larger its logit ought to be.

    Args:
        ticks: whole numbers from 0 to 255, at most 512 of a row not 0.
        into: [classes, rank], whole numbers up to 127.
        out: [rank, classes], likewise.
        offset: [classes], whole numbers.
        shares: two powers of two, that keep sums small.
    """
    coefficients = torch.mm(ticks, into).mul_(shares[0]).round_().clamp_(-MOST_COEFFICIENT, MOST_COEFFICIENT)
    scores = torch.mm(coefficients, out).mul_(shares[1]).add_(offset).round_()
    return scores.clamp_(-MOST_SCORE, MOST_SCORE).to(torch.int16)


def falling(scores: ClassScores) -> ClassOrder:
    """The classes of each row, the one with the largest score first; of equal scores the lower class first."""
    if scores.device.type == "cpu":  # numpy's sort of 16 bits counts digits: 5 us for 1,000 classes, torch's 42
        return torch.from_numpy(np.argsort(-scores.numpy(), axis=1, kind="stable"))
    return torch.sort(scores, dim=1, descending=True, stable=True).indices


def ridge(inputs: Tensor, targets: Tensor) -> Tensor:
    """The weights [inputs, targets] that predict `targets` from `inputs`, both float64 [rows, …] and centred."""
    damping = RIDGE * inputs.square().sum() / inputs.shape[1] + LEAST_DAMPING
    if inputs.shape[1] <= len(inputs):
        products = inputs.T @ inputs
        products.diagonal().add_(damping)
        weights: Tensor = torch.linalg.solve(products, inputs.T @ targets)
        return weights
    products = inputs @ inputs.T
    products.diagonal().add_(damping)
    return torch.mm(inputs.T, torch.linalg.solve(products, targets))


def _whole(numbers: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Whole numbers up to `most`, and their unit."""
    unit = (numbers.abs().max() / most).clamp(min=NOTHING)
    return (numbers / unit).round(), unit


def _power_of_two(share: float) -> float:
    """The largest one up to `share` and 1."""
    return min(2.0 ** math.floor(math.log2(share)), 1.0)
