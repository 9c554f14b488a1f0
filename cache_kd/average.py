"""A running average of a student's weights, which is often better than the weights of the last step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The exponential moving average of everything in the state dict of `model`.

    After step t (from 1) the average keeps min(decay, (1 + t) / (10 + t)) of itself, so that the first weights, which
    are random, are soon forgotten. Running statistics of norm layers are averaged like weights; counters are taken
    over.

    Args:
        model: whose weights are averaged; the average starts as a copy of them.
        decay: what the average keeps of itself in a step, 0 < decay < 1.

    References: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; the start is the one
    of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def update(self, step: int) -> None:
        """Take the weights in after `step` steps, counted from 1."""
        new = 1 - min(self._decay, (1 + step) / (10 + step))
        for name, tensor in self._model.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, new)
            else:
                self.tensors[name].copy_(tensor)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from the average that `tensors` hold.

        Raises:
            KeyError: one is missing.
            RuntimeError: one has another shape.
        """
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Give the model the averaged weights while the context is open."""
        own = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        self._put(self.tensors)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in self._model.state_dict().items():
            tensor.copy_(tensors[name])
