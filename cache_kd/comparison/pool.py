"""Several runs at a time, each in a process of its own; one that fails stops no other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cache_kd.comparison.grid import Cell
from cache_kd.disk import mending
from cache_kd.errors import RunError
from cache_kd.rundir import RunFolder
from cache_kd.threads import usable_cores

POLL = 0.2  # seconds between two looks at the processes
TAIL = 8192  # bytes of metrics.jsonl that hold its last line

Stage = Literal["waiting", "running", "finished", "failed"]


@dataclass(kw_only=True)
class Progressed:
    """How far one cell is."""

    cell: Cell
    stage: Stage = "waiting"
    share: float = 0.0  # of its epochs, 0 to 1
    before: float = 0.0  # the share that was done when this command began
    started: float | None = None  # by time.monotonic
    fault: str = ""  # why it failed


Watch = Callable[[Sequence[Progressed]], None]


@dataclass(kw_only=True)
class _Slot:
    """A place for one process at a time."""

    device: str | None  # what CUDA_VISIBLE_DEVICES says in it; None: as here
    threads: int | None  # of each process; None: as here
    at_work: Progressed | None = None
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)


def run_cells(cells: Sequence[Cell], *, jobs: int, gpus: Sequence[str], logs: Path, watch: Watch) -> list[Progressed]:
    """Train every cell that is not finished; how each ended.

    Args:
        cells: in the order in which they are begun.
        jobs: at most so many at a time.
        gpus: names for CUDA_VISIBLE_DEVICES, handed out in turn; none where the runs use no GPU.
        logs: folder of what the runs say, one file each.
        watch: is told of all cells again and again.
    """
    states = [_state(cell) for cell in cells]
    waiting = deque(state for state in states if state.stage == "waiting")
    slots = [_Slot(device=gpus[number % len(gpus)] if gpus else None, threads=_threads(jobs)) for number in range(jobs)]
    with mending(logs, RunError, option="--out", again="run the same command again"):
        logs.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or any(slot.at_work for slot in slots):
            for slot in slots:
                if slot.at_work is None and waiting:
                    _start(slot, waiting.popleft(), logs)
            watch(states)
            time.sleep(POLL)
            for slot in slots:
                _look_after(slot, logs)
    finally:
        for slot in slots:
            if slot.process is not None:
                slot.process.kill()
                _end(slot.process)
    watch(states)
    return states


def _state(cell: Cell) -> Progressed:
    out = cell.config.out
    if not (out / "config.json").is_file():
        return Progressed(cell=cell)
    if RunFolder.open(out).summary is not None:
        return Progressed(cell=cell, stage="finished", share=1.0, before=1.0)
    share = _share(cell)
    return Progressed(cell=cell, share=share, before=share)


def _threads(jobs: int) -> int | None:
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, usable_cores() // jobs)


def _start(slot: _Slot, state: Progressed, logs: Path) -> None:
    environment = dict(os.environ)
    if slot.device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = slot.device
    if slot.threads is not None:
        environment["OMP_NUM_THREADS"] = str(slot.threads)
    with _log(state, logs).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cache_kd.comparison.cell"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            env=environment,
        )
    _tell(process, state.cell)
    slot.process, slot.at_work = process, state
    state.stage, state.started = "running", time.monotonic()


def _tell(process: "subprocess.Popen[str]", cell: Cell) -> None:
    """Hand the configuration over; the pipe stays open, for its end is how a process knows that we are gone."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it is gone already; its exit code and its log say why
        process.stdin.write(json.dumps(cell.config.model_dump(mode="json")) + "\n")
        process.stdin.flush()


def _end(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.wait()
    with suppress(BrokenPipeError):  # what it never read
        process.stdin.close()


def _look_after(slot: _Slot, logs: Path) -> None:
    state, process = slot.at_work, slot.process
    if state is None or process is None:
        return
    code = process.poll()
    state.share = _share(state.cell)
    if code is None:
        return
    _end(process)
    slot.at_work = slot.process = None
    if code == 0:
        state.stage, state.share = "finished", 1.0
    else:
        state.stage, state.fault = "failed", _fault(code, _log(state, logs))


def _log(state: Progressed, logs: Path) -> Path:
    return logs / f"{state.cell.name}.log"


def _fault(code: int, log: Path) -> str:
    """The last line that a run said, or which signal ended it."""
    if code < 0:
        memory = "; the machine may have run out of memory" if code == -signal.SIGKILL else ""
        return f"it was ended by {signal.Signals(-code).name}{memory}. Its log is {log}."
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else f"it ended with code {code} and said nothing."


def _share(cell: Cell) -> float:
    """How much of a run its metrics tell of."""
    last = _last_line(cell.config.out / "metrics.jsonl")
    return min(1.0, float(last.get("position", last.get("epoch", 0.0))) / cell.config.epochs)


def _last_line(path: Path) -> dict[str, Any]:
    """The last whole line of a file that somebody may be writing to; empty where there is none yet."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().rpartition(b"\n")[0].splitlines()
    return dict(json.loads(lines[-1])) if lines else {}
