"""How weights move: SGD or AdamW, what of them decays, and how long a gradient may be."""

from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from cache_kd.config import Config

Share = Annotated[float, Field(ge=0, lt=1)]


class Optimiser(Config):
    """SGD with momentum as in the CIFAR literature, or AdamW.

    Attributes:
        name: which of the two.
        lr: the full learning rate; a schedule multiplies it. Its default is for SGD, and AdamW has none.
        momentum: of SGD.
        nesterov: likewise.
        betas: of AdamW.
        weight_decay: of SGD inside the gradient, of AdamW beside it (Loshchilov and Hutter, Decoupled Weight Decay
            Regularization, ICLR 2019).
        decay_norm_and_bias: whether weight decay reaches every parameter, as in the CIFAR literature, or only a model's
            of two dimensions and more: neither biases, nor what norm layers learn, nor the numbers of a method.
        clip_norm: the gradient over all parameters together is shortened to this length; None: never.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Annotated[float, Field(gt=0)] = 0.1
    momentum: Share = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 5e-4
    nesterov: bool = False
    betas: tuple[Share, Share] = (0.9, 0.999)
    decay_norm_and_bias: bool = True
    clip_norm: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _adamw_has_its_own_lr(self) -> "Optimiser":
        if self.name == "adamw" and "lr" not in self.model_fields_set:
            raise ValueError(
                f"adamw needs a learning rate of its own, for {self.lr:g} is that of sgd; "
                "set optimiser.lr too, usually to 0.001"
            )
        return self

    @model_validator(mode="after")
    def _betas_have_adamw(self) -> "Optimiser":
        if self.name == "sgd" and self.betas != type(self).model_fields["betas"].default:
            raise ValueError(
                "betas are of adamw, and optimiser.name is 'sgd'; leave them out, or set optimiser.name=adamw and "
                "optimiser.lr"
            )
        return self

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Optimiser":
        if self.name == "sgd" and self.nesterov and not self.momentum:
            raise ValueError("nesterov looks ahead along the momentum, which is 0; set optimiser.nesterov=false too")
        return self


def make_optimiser(
    config: Optimiser, parameters: Iterable[nn.Parameter], *, numbers: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The optimiser of `parameters`: one group of them, or those that decay and those that do not.

    Args:
        config: says which, and what decays.
        parameters: all that learn.
        numbers: those of them that are a method's own, such as a temperature: no matrices, whatever their shape.
    """
    every = list(parameters)
    groups: list[dict[str, Any]] = [{"params": every, "weight_decay": config.weight_decay}]
    if not config.decay_norm_and_bias:
        kept = set(numbers)
        # a saved state counts parameters over all groups: matrices in their order, then the rest, however they decay
        runs = groupby(sorted(every, key=_is_flat), key=lambda each: _is_flat(each) or each in kept)
        groups = [{"params": list(run), "weight_decay": 0.0 if keeps else config.weight_decay} for keeps, run in runs]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov)


def _is_flat(parameter: nn.Parameter) -> bool:
    return parameter.dim() <= 1
