"""Where a run stands: everything that its next step depends on, as named tensors and words."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from cache_kd.average import WeightAverage


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a run has come.

    Attributes:
        epoch: finished ones.
        step: finished ones of the next epoch.
        seconds: that the unfinished epoch has taken so far.
        waited: seconds of them in which a step waited for its batch.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass(frozen=True)
class State:
    """What a run changes as it goes.

    Attributes:
        student: its weights and running statistics.
        learned: what its method trains beside it.
        optimiser: of both.
        average: of the student's weights, where one is kept.
        scaler: Fabric's precision, which holds the scale of float16 gradients.
    """

    student: nn.Module
    learned: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None
    scaler: Any

    def tensors(self) -> dict[str, Tensor]:
        """All of it that is a tensor, by name."""
        tensors = {f"model.{name}": tensor for name, tensor in self.student.state_dict().items()}
        tensors |= {f"learned.{name}": tensor for name, tensor in self.learned.state_dict().items()}
        tensors |= {
            f"average.{name}": tensor for name, tensor in (self.average.tensors if self.average else {}).items()
        }
        return tensors | _optimiser_tensors(self.optimiser)

    def words(self, position: Position) -> dict[str, str]:
        """The rest of it, and the position."""
        return {"position": json.dumps(asdict(position)), "scaler": json.dumps(self.scaler.state_dict())}

    def restore(self, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> Position:
        """Take over what another process put into `tensors` and `words`.

        Raises:
            KeyError: something is missing.
            RuntimeError: something has another shape.
            ValueError: something cannot be read.
        """
        self.student.load_state_dict(_below(tensors, "model."))
        self.learned.load_state_dict(_below(tensors, "learned."))
        if self.average:
            self.average.load(_below(tensors, "average."))
        _restore_optimiser(self.optimiser, _below(tensors, "optimiser."))
        self.scaler.load_state_dict(json.loads(words["scaler"]))
        position = json.loads(words["position"])
        return Position(**{field.name: position[field.name] for field in fields(Position)})


def generators() -> dict[str, Tensor]:
    """The states of torch's random generators in this process."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Tensor]) -> None:
    """Put back what `generators` gave; one that is not among them goes on as it is."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's per-parameter tensors, as optimiser.<number>.<name>; the rest follows from the config."""
    states = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for number, state in states.items()
        for name, value in state.items()
        if value is not None
    }


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
