"""What a store saves against a live teacher: measured where runs had one, estimated from the teacher's time; pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from cache_kd.comparison.grid import Group
from cache_kd.comparison.record import Record
from cache_kd.comparison.table import spread_of
from cache_kd.comparison.teacher_time import TimedTeacher
from cache_kd.planning.estimate import duration
from cache_kd.store.manifest import Part


@dataclass(frozen=True, kw_only=True)
class Saving:
    """One method with the teacher in the loop and from its store, over the seeds that both have: measured."""

    label: str
    seeds: int
    live_seconds: float  # per epoch
    cached_seconds: float
    live_bytes: int | None  # peak
    cached_bytes: int | None
    accuracy: str  # of cached minus live, in percentage points, mean ± std over the seeds

    @property
    def ratio(self) -> float:
        """Live time over cached time."""
        return self.live_seconds / self.cached_seconds


@dataclass(frozen=True, kw_only=True)
class Account:
    """What one store took and what it spared the runs of a comparison; every second is estimated, on this machine.

    Attributes:
        store: its name.
        teacher: how long it takes for an image.
        dump_rows: V views of each training image, and the plain test images.
        epoch_rows: training images, of which a live teacher is asked in an epoch.
        runs: that took their teacher's logits from the store.
        run_epochs: epochs of the shortest of them.
        spared_seconds: of a live teacher, in all of their epochs.
    """

    store: str
    teacher: TimedTeacher
    dump_rows: int
    epoch_rows: int
    runs: int
    run_epochs: int
    spared_seconds: float

    @property
    def dump_seconds(self) -> float:
        """Of the teacher in the dump."""
        return self.dump_rows * self.teacher.seconds

    @property
    def even_epochs(self) -> float:
        """Epochs with a live teacher, one view of each image, that ask it as often as the dump did."""
        return self.dump_rows / self.epoch_rows

    @property
    def even_students(self) -> int:
        """The same in students of `run_epochs` each, rounded up."""
        return ceil(self.dump_rows / (self.epoch_rows * self.run_epochs))

    def __str__(self) -> str:
        """The account in words."""
        even = (
            f"{self.even_epochs:.1f} epochs of one student"
            if self.even_epochs <= self.run_epochs
            else f"{self.even_students} students of {self.run_epochs} epochs"
        )
        left = self.spared_seconds - self.dump_seconds
        balance = f"saves {duration(left)}" if left >= 0 else f"still costs {duration(-left)}"
        return (
            f"{self.store}, estimated: {self.teacher}. The dump asked it {self.dump_rows:,} times, "
            f"{duration(self.dump_seconds)} without rendering, and is paid for after {even}. "
            f"{self.runs} run(s) here were spared {duration(self.spared_seconds)} of it; so far the store {balance}."
        )


def teacher_seconds(teacher: TimedTeacher, train: Part, views_per_batch: int) -> float:
    """What a live teacher would take of each epoch, estimated.

    Args:
        teacher: as it was timed.
        train: part of its store.
        views_per_batch: views of each sample that a batch shows.
    """
    return train.samples * views_per_batch * teacher.seconds


def savings_of(records: Sequence[Record]) -> list[Saving]:
    """What the store saves, for every method that ran with the live teacher, too."""
    by_group: dict[Group, dict[int, Record]] = {}
    for record in records:
        by_group.setdefault(record.group, {})[record.seed] = record
    savings = []
    for group, live in by_group.items():
        cached = by_group.get(group.cached, {})
        seeds = sorted(live.keys() & cached.keys())
        if group.teacher == "live" and seeds:
            savings.append(_saving(group, [live[seed] for seed in seeds], [cached[seed] for seed in seeds]))
    return savings


def accounts_of(
    records: Sequence[Record], teachers: Mapping[str, TimedTeacher], parts: Mapping[str, Mapping[str, Part]]
) -> list[Account]:
    """One for each store whose teacher was timed.

    Args:
        records: of every finished run.
        teachers: by the name of their store.
        parts: of the stores, likewise.
    """
    accounts = []
    for store, teacher in teachers.items():
        served = [one for one in records if one.group.store == store and one.teacher_seconds is not None]
        accounts.append(
            Account(
                store=store,
                teacher=teacher,
                dump_rows=sum(part.views * part.samples for part in parts[store].values()),
                epoch_rows=parts[store]["train"].samples,
                runs=len(served),
                run_epochs=min(len(one.epochs) for one in served),
                spared_seconds=sum(len(one.epochs) * (one.teacher_seconds or 0.0) for one in served),
            )
        )
    return accounts


def _saving(group: Group, live: Sequence[Record], cached: Sequence[Record]) -> Saving:
    pairs = zip(cached, live, strict=True)
    gaps = [
        100 * (ours.last.accuracy - theirs.last.accuracy)
        for ours, theirs in pairs
        if ours.last.accuracy is not None and theirs.last.accuracy is not None
    ]
    return Saving(
        label=f"{group.student}, {group.cached.label}",
        seeds=len(live),
        live_seconds=statistics.fmean(record.seconds_per_epoch for record in live),
        cached_seconds=statistics.fmean(record.seconds_per_epoch for record in cached),
        live_bytes=_largest(live),
        cached_bytes=_largest(cached),
        accuracy=spread_of(gaps).text(2) if gaps else "-",
    )


def _largest(records: Sequence[Record]) -> int | None:
    return max((record.peak_bytes for record in records if record.peak_bytes is not None), default=None)
