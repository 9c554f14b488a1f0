"""What a run leaves behind: config, metrics, weights, a state to resume from, a summary.

RUN/config.json          the resolved configuration
RUN/metrics.jsonl        one JSON object per logged step and per epoch
RUN/weights.safetensors  the student after the last finished epoch
RUN/state.safetensors    weights, optimiser and generator states: where --resume goes on
RUN/summary.json         written at the end; its presence means that the run is finished
"""

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cache_kd.disk import mending
from cache_kd.errors import RunError
from cache_kd.files import write_whole
from cache_kd.models.checkpoint import save_weights

Optimiser = torch.optim.Optimizer


class RunFolder:
    """The folder of one run; every file in it appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics_path = path / "metrics.jsonl"

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> "RunFolder":
        """Start a new run at `path`.

        Raises:
            RunError: something is there already, or the folder cannot be written.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(
                f"{path} is not empty. Pass --resume {path} to go on with the run there, or --out with another path."
            )
        run = cls(path)
        with run._mending():
            path.mkdir(parents=True, exist_ok=True)
            write_whole(path / "config.json", _json(config))
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run.

        Raises:
            RunError: there is no run at `path`.
        """
        if not (path / "config.json").is_file():
            raise RunError(f"{path} is not a run folder (no config.json); pass the folder that an earlier --out named.")
        return cls(path)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was started with."""
        return _read_json(self.path / "config.json")

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run; None while it is unfinished."""
        path = self.path / "summary.json"
        return _read_json(path) if path.is_file() else None

    def log(self, **values: Any) -> None:
        """Add one line to metrics.jsonl."""
        with self._mending(), self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Every line of metrics.jsonl."""
        if not self.metrics_path.is_file():
            return []
        return [json.loads(line) for line in self.metrics_path.read_text(encoding="utf-8").splitlines()]

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary: the run is done."""
        with self._mending():
            write_whole(self.path / "summary.json", _json(summary))

    def save(
        self, model: nn.Module, learned: nn.Module, optimiser: Optimiser, *, epoch: int, about: Mapping[str, Any]
    ) -> None:
        """Save the state after `epoch` epochs, then the weights alone with `about` in their metadata.

        Args:
            model: the student.
            learned: what its method trains beside it; part of the state, not of the weights.
            optimiser: of both.
            epoch: finished ones.
            about: what the weights say of themselves.
        """
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        tensors |= {f"learned.{name}": tensor for name, tensor in learned.state_dict().items()}
        tensors |= _optimiser_tensors(optimiser)
        tensors["generator.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["generator.cuda"] = torch.cuda.get_rng_state()
        size = self.metrics_path.stat().st_size if self.metrics_path.is_file() else 0
        metadata = {"epoch": str(epoch), "metrics_bytes": str(size)}
        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with self._mending():
            write_whole(self.path / "state.safetensors", save(ready, metadata))
            save_weights(model, self.path / "weights.safetensors", about)

    def restore(self, model: nn.Module, learned: nn.Module, optimiser: Optimiser) -> int:
        """Put the saved state back and cut later metrics off; the number of finished epochs, 0 without a state.

        Raises:
            RunError: the state does not load, or is of another model or optimiser.
        """
        path = self.path / "state.safetensors"
        if not path.is_file():
            self.metrics_path.unlink(missing_ok=True)
            return 0
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            model.load_state_dict(_below(tensors, "model."))
            learned.load_state_dict(_below(tensors, "learned."))
            _restore_optimiser(optimiser, _below(tensors, "optimiser."))
        except (SafetensorError, RuntimeError, KeyError, ValueError, OSError) as fault:
            raise RunError(f"{path} cannot be resumed: {fault}. Start again with another --out.") from None
        torch.set_rng_state(tensors["generator.cpu"])
        if torch.cuda.is_available() and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"])
        if self.metrics_path.is_file():
            os.truncate(self.metrics_path, int(metadata["metrics_bytes"]))
        return int(metadata["epoch"])

    def _mending(self) -> AbstractContextManager[None]:
        again = f"pass --resume {self.path}: finished epochs are kept"
        return mending(self.path, RunError, option="--out", again=again)


def _optimiser_tensors(optimiser: Optimiser) -> dict[str, Tensor]:
    """The optimiser's per-parameter tensors, as optimiser.<number>.<name>; the rest follows from the config."""
    states = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for number, state in states.items()
        for name, value in state.items()
        if value is not None
    }


def _restore_optimiser(optimiser: Optimiser, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as fault:
        raise RunError(f"{path} cannot be read: {fault}.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} holds {type(content).__name__}; expected a JSON object.")
    return content
