"""The processes that train one student together: what each of them computes on, and what they hand to each other.

One process is the common case, and then nothing is handed over. Several are started by torchrun, one rank each.
"""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed

from cache_kd.device import TrainPrecision, resolve_device
from cache_kd.errors import ConfigError, RunError

# how the libraries below say that a process they were talking to is gone
_SIGNS = ("gloo", "NCCL", "Connection", "Timed out")


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """All processes of a run, seen from one of them.

    Attributes:
        fabric: devices, precision and gradients in the hands of Lightning Fabric.
        rank: this process, 0 <= rank < count.
        count: of processes, over all nodes.
    """

    fabric: Fabric
    rank: int
    count: int

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.fabric.device

    @property
    def first(self) -> bool:
        """Whether this process writes the run folder and speaks."""
        return self.rank == 0

    def together(self, rows: Tensor, sizes: Sequence[int], views: int) -> Tensor:
        """The rows of the whole batch on every rank, in the order that one process has them in.

        A gradient flows back to the rank that a row came from, multiplied by the number of ranks: every rank computes
        the same loss of the whole batch, and data-parallel training divides the sum of the ranks' gradients by their
        number.

        Args:
            rows: [views x samples, ...] of this rank; first all of the first view, then all of the next.
            sizes: samples of each rank.
            views: of each sample.
        """
        if self.count == 1:
            return rows
        missing = max(sizes) * views - len(rows)
        padded = torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])]) if missing else rows
        everyone = _Gather.apply(padded.contiguous(), self.rank, self.count)
        return torch.cat(
            [
                everyone[rank, view * size : (view + 1) * size]
                for view in range(views)
                for rank, size in enumerate(sizes)
            ]
        )

    def average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every rank the mean of what all of them computed for `parameters`."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= self.count

    @torch.no_grad()
    def take_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Give `tensors` the values that they have on the first rank."""
        if self.count == 1:
            return
        for tensor in tensors:
            values = tensor.contiguous()
            distributed.broadcast(values, 0)
            tensor.copy_(values)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on some rank."""
        if self.count == 1:
            return flag
        votes = torch.tensor([float(flag)], device=self.device)
        distributed.all_reduce(votes, distributed.ReduceOp.MAX)
        return bool(votes.item())

    def from_each(self, value: Any) -> list[Any]:
        """What every rank brought, by rank."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when every rank has come here."""
        if self.count > 1:
            self.fabric.barrier()

    @contextmanager
    def depending_on_each_other(self, go_on: str) -> Iterator[None]:
        """Say in a sentence that another process is gone, and `go_on`: how the run goes on without it.

        Raises:
            RunError: another process ended while this one waited for it.
        """
        try:
            yield
        except RuntimeError as fault:
            if self.count == 1 or not any(sign in str(fault) for sign in _SIGNS):
                raise
            raise RunError(
                f"Rank {self.rank} of {self.count} stops: another process of this run ended, or cannot be reached "
                f"({str(fault).splitlines()[0][:200]}). What happened stands in its own output. {go_on}"
            ) from None


def open_ranks(device: str, precision: TrainPrecision) -> Ranks:
    """This process and those that torchrun started with it; alone without torchrun.

    Args:
        device: `auto`, `cpu`, `cuda` or `mps`.
        precision: of forward passes.

    Raises:
        ConfigError: the device is not on this machine, or there are fewer of it than processes.
    """
    kind = resolve_device(device).type
    several = distributed.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1
    world = int(os.environ["WORLD_SIZE"]) if several else 1
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if several else 1
    _demand_devices(kind, here)
    # named, not guessed: inside a SLURM job Fabric would look for ranks that nobody started
    environment = TorchElasticEnvironment() if several else LightningEnvironment()
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells how it finds its ranks
    if several:  # torch warns of 1x1 convolutions, whose strides have two names in channels-last memory
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    fabric = Fabric(
        accelerator=kind,
        devices=here,
        num_nodes=world // here,
        strategy=DDPStrategy() if several else "auto",
        plugins=[_precision(precision, kind), environment],
    )
    fabric.launch()
    return Ranks(fabric=fabric, rank=fabric.global_rank, count=world)


def is_first() -> bool:
    """Whether this process is the one that speaks, before there are any `Ranks`."""
    return int(os.environ.get("RANK", "0")) == 0 or not distributed.is_torchelastic_launched()


def _demand_devices(kind: str, processes: int) -> None:
    """See that each of the `processes` on this machine has a device of its own; a CPU is shared."""
    if kind == "cpu":
        return
    present = torch.cuda.device_count() if kind == "cuda" else 1
    if processes > present:
        raise ConfigError(
            f"torchrun started {processes} processes on this machine, which has {present} {kind} device(s), and each "
            f"needs its own. Pass --nproc-per-node {present}, or --device cpu."
        )


def _precision(precision: TrainPrecision, device: str) -> Precision:
    if precision == "float32":
        return Precision()
    return _Autocast("bf16-mixed" if precision == "bf16" else "16-mixed", device)


class _Autocast(MixedPrecision):
    """torch.autocast alone: images stay float32 where an operation wants float32, as they do in an evaluation."""

    def convert_input(self, data: Any) -> Any:
        return data


class _Gather(torch.autograd.Function):
    """[rows, ...] of each rank -> [ranks, rows, ...] on all."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int, count: int) -> Tensor:
        ctx.rank, ctx.count = rank, count
        everyone = [torch.empty_like(rows) for _ in range(count)]
        distributed.all_gather(everyone, rows)
        return torch.stack(everyone)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.rank] * ctx.count, None, None
