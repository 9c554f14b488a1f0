"""Two losses whose gradients disagree: the second gives way."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def backward_aligned(first: Tensor, second: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Put the gradient of `first + second` into `parameters`, without what points against `first`.

    Where the gradients g and h of the two, over all parameters together, have a negative product, h loses its
    part along g.

    Args:
        first: a scalar loss; its gradient stays whole.
        second: a scalar loss.
        parameters: of both; a loss need not depend on all of them.

    References: Yang et al., Dual-Head Knowledge Distillation, 2024 (arXiv 2411.08937), after Yu et al., Gradient
    Surgery for Multi-Task Learning, NeurIPS 2020 (arXiv 2001.06782).
    """
    kept: tuple[Tensor | None, ...] = torch.autograd.grad(first, parameters, retain_graph=True, allow_unused=True)
    yielding: tuple[Tensor | None, ...] = torch.autograd.grad(second, parameters, allow_unused=True)
    product = _sum([(g * h).sum() for g, h in zip(kept, yielding, strict=True) if g is not None and h is not None])
    length = _sum([g.square().sum() for g in kept if g is not None])
    # no number leaves the device: 0 where they agree, and where the first has no gradient
    against = (product / length.clamp_min(torch.finfo(length.dtype).tiny)).clamp_max(0)
    for parameter, g, h in zip(parameters, kept, yielding, strict=True):
        if g is None:
            parameter.grad = h
        else:  # one vector over all parameters: where the second has no gradient, it can still lose one
            parameter.grad = (1 - against) * g if h is None else (1 - against) * g + h


def _sum(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum()
