"""The few directions along which rows of logits vary most."""

from typing import NamedTuple

import torch

from cache_kd.types import Basis, ClassMean, Logits

MOST_ROWS = 8192  # that directions are fitted to; of more classes than rows fewer are taken, see `pilot_rows`
MOST_ROWS_OF_MANY = 2048  # where the rows decide the cost: 2048^3 operations take seconds on one core
MANY_CLASSES = 4096


class Principal(NamedTuple):
    """The mean of some rows, and orthonormal directions, the one of the largest variance first."""

    mean: ClassMean
    basis: Basis


def pilot_rows(rows: int, classes: int) -> int:
    """How many of `rows` are fitted to, so that it takes seconds."""
    return min(rows, MOST_ROWS if classes <= MANY_CLASSES else MOST_ROWS_OF_MANY)


def principal_directions(rows: Logits, rank: int) -> Principal:
    """The `rank` leading principal components of `rows`; directions without variance are zero.

    Args:
        rows: float32, on the CPU.
        rank: at most as many as there are rows and classes.
    """
    mean = rows.double().mean(dim=0)
    centred = rows.double() - mean
    if centred.shape[1] <= len(centred):
        basis = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :rank].T
    else:  # the smaller of the two matrices of products has the same leading directions
        basis = torch.linalg.eigh(centred @ centred.T).eigenvectors.flip(1)[:, :rank].T @ centred
    length = basis.norm(dim=1, keepdim=True)
    found = (centred @ basis.T).square().sum(dim=0) > 1e-12 * centred.square().sum().clamp(min=1e-300)
    basis = torch.where(found[:, None], basis / length.clamp(min=1e-300), 0.0)
    # a direction has no sign of its own: libraries differ in which of the two they give
    largest = basis.gather(1, basis.abs().argmax(dim=1, keepdim=True))
    basis = torch.where(largest < 0, -basis, basis)
    return Principal(mean.float(), basis.float().contiguous())
