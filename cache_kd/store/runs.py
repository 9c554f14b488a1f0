"""The sorted smaller logits of a row as a few runs: the mean and the spread of each, short near both ends."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from cache_kd.store.quantise import LEAST, OVERSHOOT
from cache_kd.types import Extremes, RunNumbers, SortedLogits

STEPS = 2**16 - 1  # a mean or a spread is a share of the row's range in 16 bits, right to 8e-6 of it
TOP_GROWTH, BOTTOM_GROWTH = 2, 4  # what is large decides the softmax, so there are more runs near the top


class _Runs(NamedTuple):
    """How `count` sorted numbers are cut.

    Attributes:
        run: [count], the run that each place is in.
        ramp: [count], evenly falling in each run, with mean 0 and mean square 1; 0 in a run of one.
    """

    run: Tensor
    ramp: Tensor


def run_count(count: int) -> int:
    """How many runs `count` sorted numbers have."""
    return len(_sizes(count))


def summarise(ordered: SortedLogits) -> RunNumbers:
    """The runs of numbers that fall along each row: first all means, then all spreads; of a constant row all 0.

    A number n of a mean stands for `largest - n / 65535 x range`, of a spread for `n / 65535 x range`.
    """
    high, low = ordered[:, :1], ordered[:, -1:]
    # halves: the range itself may be more than a float32
    depth = (high / 2 - ordered / 2) / (high / 2 - low / 2).clamp(min=LEAST)
    runs = torch.split(depth.double(), _sizes(ordered.shape[1]), dim=1)
    means = [run.mean(dim=1) for run in runs]
    spreads = [run.std(dim=1, correction=0) for run in runs]
    return (torch.stack(means + spreads, dim=1) * STEPS).round().to(torch.uint16)


def expand(numbers: RunNumbers, low: Extremes, high: Extremes, count: int) -> SortedLogits:
    """`count` numbers with these runs, between the smallest and the largest, which both come back exactly.

    Within a run they fall evenly; mean and standard deviation are right but for where the extremes cut them off.
    """
    cut = _runs(count, numbers.device)
    means, spreads = numbers.float().mul_(1 / STEPS).chunk(2, dim=1)
    index = cut.run.expand(len(numbers), -1)
    depth = spreads.gather(1, index).mul_(-cut.ramp)
    depth.add_(means.gather(1, index)).clamp_(0, 1)
    return depth.mul_((low - high) * (1 + OVERSHOOT)).add_(high).clamp_(min=low)


def _sizes(count: int) -> list[int]:
    """1, 2, 4 … from the top and 1, 4, 16 … from the bottom, until they meet."""
    sizes: tuple[list[int], list[int]] = ([], [])
    nexts, growths = [1, 1], (TOP_GROWTH, BOTTOM_GROWTH)
    left, side = count, 0
    while left:
        size = min(nexts[side], left)
        sizes[side].append(size)
        left -= size
        nexts[side] *= growths[side]
        side = 0 if nexts[0] <= nexts[1] else 1
    return sizes[0] + sizes[1][::-1]


@lru_cache(maxsize=16)
def _runs(count: int, device: torch.device) -> _Runs:
    sizes = torch.tensor(_sizes(count))
    run = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    first = sizes.cumsum(0) - sizes
    place = torch.arange(count) - first[run]
    middle, variance = (sizes - 1) / 2, (sizes.double().square() - 1) / 12
    ramp = (middle[run] - place) / variance.sqrt().clamp(min=0.5)[run]
    return _Runs(run.to(device), ramp.float().to(device))
