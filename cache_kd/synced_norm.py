"""Batch norm over the batches of all ranks together, so that a batch means there what it means in one process."""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cache_kd.errors import ConfigError

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def synchronise(model: nn.Module, device: torch.device) -> None:
    """Put a synchronised batch norm in the place of every batch norm of `model`; their tensors stay the same ones.

    On a GPU it is torch's own, which is faster and knows no other device.

    Raises:
        ConfigError: a batch norm is of a class of its own, whose forward pass would be lost.
    """
    done: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and child not in done.values():
                done.setdefault(child, _synchronised(child, device))
                setattr(parent, name, done[child])


def _synchronised(norm: _BatchNorm, device: torch.device) -> _BatchNorm:
    if not isinstance(norm, nn.SyncBatchNorm) and type(norm) not in _PLAIN:
        raise ConfigError(
            f"{type(norm).__module__}.{type(norm).__name__} is a batch norm of its own kind, which cannot be "
            "synchronised here. Pass --set sync_batch_norm=false: each rank then normalises by its own part of a batch."
        )
    kind = nn.SyncBatchNorm if device.type == "cuda" else SyncedBatchNorm
    synced = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    synced.weight, synced.bias = norm.weight, norm.bias
    synced.running_mean, synced.running_var = norm.running_mean, norm.running_var
    synced.num_batches_tracked = norm.num_batches_tracked
    synced.training = norm.training
    return synced


class SyncedBatchNorm(_BatchNorm):
    """Batch norm whose mean and variance are those of all ranks' rows together; a rank may have none.

    Two sums over the ranks in each pass: of the values, then of the squared distances from the mean, which loses
    fewer digits than squares of the values would.

    Raises:
        ValueError: while training, all ranks together have one value of each channel, as from torch's own.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch while training, by the running statistics otherwise."""
        if not self.training and self.running_mean is not None:
            plain: Tensor = super().forward(input)
            return plain
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        dimensions = [dimension for dimension in range(wide.dim()) if dimension != 1]
        shape = [1, -1] + [1] * (wide.dim() - 2)
        own = wide.new_tensor([wide.numel() / wide.shape[1]])
        sums = _Sum.apply(torch.cat([wide.sum(dimensions), own]))
        count = sums[-1].detach()
        if count.item() == 1:
            raise ValueError(f"expected more than 1 value per channel over all ranks when training, got {input.shape}")
        mean = sums[:-1] / count
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dimensions)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        normalised: Tensor = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions from two on: rows and channels come first."""

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        new = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, new)
        self.running_var.lerp_(variance, new)


class _Sum(torch.autograd.Function):
    """The sum over all ranks, of values and of gradients alike."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        del ctx
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        del ctx
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total
