"""A training that takes turns with others: the product's own, in a process that is frozen but for its few steps.

    python benchmarks/turns.py CONFIG_JSON STEPS THREADS    # started by `taking_turns`, not by hand

A frozen process neither renders ahead nor takes a processor, so it goes on as if it had never stood still, and turns
of seconds meet the same moments of a shared machine, which whole epochs one after the other do not. Linux only.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from cache_kd.device import resolve_device
from cache_kd.progress import Advance
from cache_kd.train import TrainConfig, train


@contextmanager
def taking_turns(config: TrainConfig, *, steps: int, threads: int) -> Iterator["Training"]:
    """A training of one epoch that stands still before its first step; its process ends with the context.

    Args:
        config: of the run.
        steps: of each turn; they divide those of the epoch.
        threads: of torch.
    """
    command = [sys.executable, __file__, config.model_dump_json(), str(steps), str(threads)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        try:
            training = Training(process, config)
            training.until_frozen()
            yield training
        finally:
            process.kill()


@dataclass(frozen=True)
class Training:
    """One training, seen from outside."""

    process: subprocess.Popen[str]
    config: TrainConfig

    def turn(self) -> float:
        """Go on for one turn; its seconds."""
        self.process.send_signal(signal.SIGCONT)
        self.until_frozen()
        assert self.process.stdout is not None
        return float(self.process.stdout.readline())

    def until_frozen(self) -> None:
        """Wait until the process stands still.

        Raises:
            RuntimeError: it ended instead.
        """
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise RuntimeError(f"The training at {self.config.out} ended before its time; it says why above.")

    def finish(self) -> dict[str, Any]:
        """End the epoch after its last turn; its line in the metrics.

        Raises:
            RuntimeError: the training failed.
        """
        self.process.send_signal(signal.SIGCONT)
        if self.process.wait():
            raise RuntimeError(f"The training at {self.config.out} failed; it says why above.")
        lines = (self.config.out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        epoch: dict[str, Any] = json.loads(lines[-1])
        return epoch


class _Turns:
    """Watches a training from inside, and freezes its process before the first step and after each turn."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self._steps = steps
        self._device = device
        self._done = 0
        self._started = 0.0

    def say(self, message: str) -> None:
        """Say nothing: what is printed are seconds."""

    @contextmanager
    def task(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Count the steps of the epoch; what a run does before it is no turn."""
        del total, unit
        yield self._after_step if title.startswith("epoch") else lambda done: None

    def _after_step(self, samples: int) -> None:
        if samples:
            self._done += 1
            if self._done % self._steps:
                return
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            print(time.perf_counter() - self._started, flush=True)
        signal.raise_signal(signal.SIGSTOP)
        self._started = time.perf_counter()


def main() -> None:
    """Train as the command line says."""
    config, steps, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    told = TrainConfig.model_validate_json(config)
    train(told, progress=_Turns(int(steps), resolve_device(told.device)))


if __name__ == "__main__":
    main()
