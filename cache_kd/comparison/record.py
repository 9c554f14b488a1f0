"""What a finished run tells a comparison, read off its folder."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cache_kd.comparison.grid import Cell, Group
from cache_kd.evaluate import Reliability
from cache_kd.rundir import RunFolder

Quantiles = tuple[float, ...]  # at `temperatures.QUANTILES`


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch; shares are between 0 and 1, and None stands where there are no test images or no teacher."""

    accuracy: float | None
    cross_entropy: float | None  # of the test images, nats
    agreement: float | None
    calibration_error: float | None
    label_loss: float  # cross-entropy with the labels while training, nats, mean of the logged batches
    tau: tuple[Quantiles, ...]  # for each term of the method, mean of the logged batches
    seconds: float  # of training, without the test
    step_seconds: float
    waiting: float  # share of the seconds in which the step waited for its batch
    peak_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run."""

    name: str
    group: Group
    seed: int
    epochs: tuple[EpochRecord, ...]
    reliability: Reliability | None  # after the last epoch
    store_id: str
    environment: dict[str, str]
    # that a live teacher would take of each epoch, estimated; None where none is spared, or nobody could time it
    teacher_seconds: float | None = None

    @property
    def last(self) -> EpochRecord:
        """The last epoch."""
        return self.epochs[-1]

    @property
    def best_accuracy(self) -> float | None:
        """Of any epoch: chosen on the test images."""
        known = [epoch.accuracy for epoch in self.epochs if epoch.accuracy is not None]
        return max(known, default=None)

    @property
    def seconds_per_epoch(self) -> float:
        """The median, which the slow first steps of a process do not move."""
        return statistics.median(epoch.seconds for epoch in self.epochs)

    @property
    def step_seconds(self) -> float:
        """The median over the epochs of their mean."""
        return statistics.median(epoch.step_seconds for epoch in self.epochs)

    @property
    def waiting(self) -> float:
        """Share of the training time."""
        return sum(epoch.waiting * epoch.seconds for epoch in self.epochs) / sum(epoch.seconds for epoch in self.epochs)

    @property
    def peak_bytes(self) -> int | None:
        """The largest of all epochs."""
        return max((epoch.peak_bytes for epoch in self.epochs if epoch.peak_bytes is not None), default=None)


def read_record(cell: Cell) -> Record:
    """The figures of the finished run of `cell`.

    Raises:
        RunError: the folder cannot be read.
    """
    run = RunFolder.open(cell.config.out)
    lines, summary = run.metrics(), run.summary
    assert summary is not None
    steps = [line for line in lines if "step" in line]
    ends = [line for line in lines if "epoch" in line]
    per_epoch = (max(line["step"] for line in steps) + 1) // len(ends)
    reliability = ends[-1].get("reliability")
    return Record(
        name=cell.name,
        group=cell.group,
        seed=cell.config.seed,
        epochs=tuple(
            _epoch(end, [line for line in steps if line["step"] // per_epoch == end["epoch"] - 1], per_epoch)
            for end in ends
        ),
        reliability=Reliability.model_validate(reliability) if reliability else None,
        store_id=summary["store_id"],
        environment=summary["environment"],
    )


def _epoch(end: dict[str, Any], steps: Sequence[dict[str, Any]], per_epoch: int) -> EpochRecord:
    return EpochRecord(
        accuracy=end.get("accuracy"),
        cross_entropy=end.get("cross_entropy"),
        agreement=end.get("agreement"),
        calibration_error=end.get("calibration_error"),
        label_loss=statistics.fmean(line.get("hard", line["loss"]) for line in steps),
        tau=_mean_quantiles([line["tau"] for line in steps if "tau" in line]),
        seconds=end["seconds"],
        step_seconds=end["seconds"] / per_epoch,
        waiting=end["waiting"],
        peak_bytes=end.get("peak_bytes"),
    )


def _mean_quantiles(batches: Sequence[Sequence[Sequence[float]]]) -> tuple[Quantiles, ...]:
    """The mean over batches of each quantile of each term's temperatures."""
    terms = zip(*batches, strict=True)
    return tuple(tuple(statistics.fmean(level) for level in zip(*term, strict=True)) for term in terms)
