"""One run of a comparison in a process of its own: `python -m cache_kd.comparison.cell`, its configuration on stdin.

A process of its own has its own GPU and its own peak of memory, and takes no other run with it when it dies.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cache_kd.config import build
from cache_kd.errors import KdCacheError
from cache_kd.progress import Advance
from cache_kd.train import train
from cache_kd.train_config import TrainConfig


class Words:
    """What a run says goes to stderr, which the parent keeps as its log; how far it is stands in its metrics."""

    def say(self, message: str) -> None:
        """One line of text."""
        print(message, file=sys.stderr, flush=True)

    @contextmanager
    def task(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """Count nothing."""
        del title, total, unit
        yield lambda done: None


def main() -> None:
    """Train the run whose configuration is the first line of stdin, or go on with it."""
    config = build(TrainConfig, json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        train(config, resume=_begun(config.out), progress=Words())
    except KdCacheError as error:
        sys.exit(f"Error: {error}")


def _begun(out: Path) -> bool:
    """Whether a run is there; what is left of one that was killed before it had a configuration is cleared away."""
    if (out / "config.json").is_file():
        return True
    for leftover in out.glob(".config.json*"):
        leftover.unlink()
    return False


def _end_with_the_parent() -> None:
    """The parent holds the other end of stdin open as long as it lives; nobody else may train here after that."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
