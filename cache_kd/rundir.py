"""What a run leaves behind: config, metrics, weights, a state to resume from, a summary.

RUN/config.json          the resolved configuration
RUN/metrics.jsonl        one JSON object per logged step and per epoch
RUN/weights.safetensors  the student after the last finished epoch
RUN/weights-ema.safetensors  likewise, the running average of its weights, where one is kept
RUN/state.safetensors    weights, optimiser and generator states: where --resume goes on
RUN/summary.json         written at the end; its presence means that the run is finished
RUN/train.lock           held by the process that trains here; empty
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cache_kd.alone import alone_in
from cache_kd.config import parse_json
from cache_kd.disk import mending
from cache_kd.errors import RunError
from cache_kd.files import write_whole
from cache_kd.models.checkpoint import save_weights

LOCK = "train.lock"
PATIENCE = 2.0  # seconds in which a run whose comparison was killed is gone


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
        refuse_filled(path)
        run = cls(path)
        with run._mending():
            path.mkdir(parents=True, exist_ok=True)
        run.save_config(config)
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

    def save_config(self, config: Mapping[str, Any]) -> None:
        """Write the configuration that the run goes on with."""
        with self._mending():
            write_whole(self.path / "config.json", _json(config))

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the run was started with, and its places where they were seen last."""
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

    def save_weights(self, model: nn.Module, about: Mapping[str, Any], *, name: str = "weights") -> None:
        """Save the weights of `model` as NAME.safetensors, with `about` in their metadata."""
        with self._mending():
            save_weights(model, self.path / f"{name}.safetensors", about)

    def save_state(self, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> None:
        """Save what the run goes on from, together with the size of metrics.jsonl at this moment."""
        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with self._mending():
            size = _settled_size(self.metrics_path)
            write_whole(self.path / "state.safetensors", save(ready, {**words, "metrics_bytes": str(size)}))

    def load_state(self) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """What `save_state` saved last; None where it never did.

        Raises:
            RunError: the file cannot be read.
        """
        path = self.path / "state.safetensors"
        if not path.is_file():
            return None
        with self.readable(), safe_open(path, framework="pt") as file:
            words = dict(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, words

    def state_words(self) -> dict[str, str]:
        """The words of the state that was saved last, without its tensors; none where there is no state.

        Raises:
            RunError: the file cannot be read.
        """
        path = self.path / "state.safetensors"
        if not path.is_file():
            return {}
        with self.readable(), safe_open(path, framework="pt") as file:
            return dict(file.metadata())

    def forget_later_metrics(self, words: Mapping[str, str] | None) -> None:
        """Cut off the lines that were logged after the state with these `words`; all of them without a state."""
        with self._mending():
            if words is None:
                self.metrics_path.unlink(missing_ok=True)
            elif self.metrics_path.is_file():
                os.truncate(self.metrics_path, int(words["metrics_bytes"]))

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Turn what is wrong with a saved state into one sentence.

        Raises:
            RunError: it does not load, or is of another model or optimiser.
        """
        try:
            yield
        except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError, OSError) as fault:
            path = self.path / "state.safetensors"
            said = " ".join(str(fault).split())[:300].rstrip(". ")
            raise RunError(f"{path} cannot be resumed: {said}. Start again with another --out.") from None

    def _mending(self) -> AbstractContextManager[None]:
        again = f"pass --resume {self.path}: what was saved is kept"
        return mending(self.path, RunError, option="--out", again=again)


def refuse_filled(path: Path) -> None:
    """See that a new run can be at `path`.

    Raises:
        RunError: something is there already.
    """
    if path.exists() and (not path.is_dir() or any(entry.name != LOCK for entry in path.iterdir())):
        raise RunError(
            f"{path} is not empty. Pass --resume {path} to go on with the run there, or --out with another path."
        )


def alone_at(path: Path) -> AbstractContextManager[None]:
    """Keep other trainings out of the run folder at `path`, begun or not.

    Raises:
        RunError: another process trains there, or the folder cannot be written to.
    """
    return alone_in(
        path,
        LOCK,
        busy=f"{path}: another process trains there. Wait until it has finished, or pass --out with another path.",
        again="run the same command again",
        patience=PATIENCE,
    )


def _settled_size(path: Path) -> int:
    """Bytes of the file, all of them on the disk: a state must not know of lines that a loss of power takes back."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise RunError(f"{path} cannot be read: {fault}.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} holds {type(content).__name__}; expected a JSON object.")
    return content
