"""What the commands of experiments/cifar100.py have left so far: their finished runs, one by one, and their losses."""

import tempfile
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from cifar100 import commands
from numpy.typing import NDArray

from cache_kd.comparison.grid import Cell, Group
from cache_kd.comparison.record import Record, read_record
from cache_kd.rundir import RunFolder
from cache_kd.train_config import TrainConfig, resumed_config


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One `kdcache compare`: what was asked for, and what of it is finished.

    Attributes:
        folder: where it lies, begun or not.
        students: that were asked for; so with methods.
        views: that were asked for where they vary; empty where they do not.
        runs: how many were asked for.
        records: of the finished runs.
        ended: when each of those ended, UTC.
    """

    folder: Path
    students: tuple[str, ...]
    methods: tuple[str, ...]
    views: tuple[int, ...]
    seeds: int
    runs: int
    records: tuple[Record, ...]
    ended: tuple[datetime, ...]

    def of(self, *, student: str | None = None, method: str | None = None, **wanted: str) -> list[Record]:
        """The finished runs in order of their seeds; `teacher` and `views` as `Group` has them."""
        found = []
        for record in self.records:
            group = record.group
            has = {"student": group.student, "method": group.method, "teacher": group.teacher}
            has |= dict(setting.split("=") for setting in group.settings)
            asked = {"student": student, "method": method, **wanted}
            if all(value is None or has.get(key) == value for key, value in asked.items()):
                found.append(record)
        return sorted(found, key=lambda record: record.seed)


def commands_as_run() -> list[tuple[str, list[str]]]:
    """Every command with its part, from an empty folder on: a teacher that is there already would not be named."""
    with tempfile.TemporaryDirectory() as empty, chdir(empty):
        return list(commands("cifar100.h5", Path("results"), "2", "resnet32x4.pth"))


def read_comparisons(results: Path) -> dict[str, Comparison]:
    """Every comparison by the name of its folder below `results`, begun or not.

    Raises:
        RunError: a finished run cannot be read.
    """
    asked = [words for _, words in commands_as_run() if words[0] == "compare"]
    return {name: _read(results / name, words) for words in asked for name in [Path(_value(words, "--out")).name]}


@dataclass(frozen=True, kw_only=True)
class Apart:
    """How far a run from a store is from the same run with the live teacher.

    Attributes:
        losses: of each step, relative to the live one.
        same_weights: whether both students end with the same bits.
    """

    losses: NDArray[np.float64]
    same_weights: bool


def apart(cached: Comparison, live: Comparison) -> dict[int, Apart]:
    """How far the runs from a store are from those with the live teacher, by the seed.

    Args:
        cached: has runs of one method from a store.
        live: has runs of the same with the live teacher.
    """
    theirs = {record.seed: record for record in live.of(teacher="live")}
    return {
        record.seed: _apart(_folder(cached, record), _folder(live, theirs[record.seed]))
        for record in cached.of(teacher="cached")
        if record.seed in theirs
    }


def accuracies(record: Record) -> list[float]:
    """Of the test images after every epoch, in percent."""
    return [100 * epoch.accuracy for epoch in record.epochs if epoch.accuracy is not None]


def ended_at(run: Path) -> datetime:
    """When the run at `run` wrote its summary, UTC: the time of the file, which `cp -a` keeps and `cp` does not."""
    return datetime.fromtimestamp((run / "summary.json").stat().st_mtime, UTC)


def _read(folder: Path, words: Sequence[str]) -> Comparison:
    students = [name for option, value in pairwise(words) if option == "--student" for name in value.split(",")]
    methods = _value(words, "--methods").split(",")
    views = _value(words, "--vary").removeprefix("views=").split(",") if "--vary" in words else []
    seeds = int(_value(words, "--seeds"))
    finished = sorted(path.parent for path in folder.glob("runs/*/summary.json"))
    return Comparison(
        folder=folder,
        students=tuple(students),
        methods=tuple(methods),
        views=tuple(map(int, views)),
        seeds=seeds,
        runs=len(students) * len(methods) * max(1, len(views)) * seeds * (2 if "--live" in words else 1),
        records=tuple(_record(run) for run in finished),
        ended=tuple(map(ended_at, finished)),
    )


def _folder(one: Comparison, record: Record) -> RunFolder:
    return RunFolder.open(one.folder / "runs" / record.name)


def _apart(cached: RunFolder, live: RunFolder) -> Apart:
    ours, theirs = _step_losses(cached), _step_losses(live)
    weights = {(run.summary or {})["weights"] for run in (cached, live)}
    return Apart(losses=np.abs(ours - theirs) / np.abs(theirs), same_weights=len(weights) == 1)


def _step_losses(run: RunFolder) -> NDArray[np.float64]:
    """The training loss of every step; every step was logged."""
    losses = {line["step"]: line["loss"] for line in run.metrics() if "step" in line}
    assert sorted(losses) == list(range(len(losses)))
    return np.array([losses[step] for step in range(len(losses))])


def _value(words: Sequence[str], option: str) -> str:
    return words[list(words).index(option) + 1]


def _record(run: Path) -> Record:
    config = resumed_config(run)
    return read_record(Cell(name=run.name, group=_group(config), config=config))


def _group(config: TrainConfig) -> Group:
    return Group(
        store=config.store[0].name,
        student=config.student,
        method=config.label,
        settings=(f"views={config.views}",),
        teacher="live" if config.live_teacher else "cached" if config.asks_a_teacher else "none",
    )
