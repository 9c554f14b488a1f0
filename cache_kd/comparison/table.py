"""From finished runs to one table: mean and spread over the seeds, as rows, CSV and LaTeX; pure."""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cache_kd.comparison.grid import Group
from cache_kd.comparison.record import Record

NOTE = (
    "last: after the last epoch. best: the best epoch of each run, chosen on the test images themselves, as most "
    "papers report; it is the higher of the two by construction. agree: with the teacher, after the last epoch. ECE: "
    "expected calibration error, likewise. spared s: what a live teacher would add to s/epoch, estimated from its "
    "time alone on this machine."
)
AXES = ("store", "student", "method", "settings", "teacher")  # what tells rows apart
UNKNOWN = "-"  # nobody could measure it


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and sample standard deviation over `n` seeds; the deviation of one is unknown."""

    mean: float
    std: float | None
    n: int

    def text(self, digits: int, plus_minus: str = "±") -> str:
        """`71.23 ± 0.31`.

        >>> Spread(mean=71.234, std=0.308, n=3).text(2)
        '71.23 ± 0.31'
        """
        spread = "" if self.std is None else f" {plus_minus} {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A column of numbers."""

    key: str  # in CSV
    title: str
    digits: int
    estimated: bool = False  # from one measurement for all runs: they show no spread of it


@dataclass(frozen=True, kw_only=True)
class Row:
    """One group of runs: what they have in common, and each figure's spread; None where nobody could measure it."""

    group: Group
    n: int
    figures: Mapping[str, Spread | None]


FIGURES = (
    Figure(key="last_accuracy", title="last %", digits=2),
    Figure(key="best_accuracy", title="best %", digits=2),
    Figure(key="agreement", title="agree %", digits=2),
    Figure(key="calibration_error", title="ECE %", digits=2),
    Figure(key="seconds_per_epoch", title="s/epoch", digits=2),
    Figure(key="teacher_seconds_per_epoch", title="spared s", digits=2, estimated=True),
)


def spread_of(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation.

    >>> spread_of([1.0, 3.0])
    Spread(mean=2.0, std=1.4142135623730951, n=2)
    """
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(mean=statistics.fmean(values), std=std, n=len(values))


def rows_of(records: Iterable[Record]) -> list[Row]:
    """One row for each group, in the order in which groups appear."""
    groups: dict[Group, list[Record]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    return [_row(group, of_group) for group, of_group in groups.items()]


def figures_of(record: Record) -> dict[str, float | None]:
    """The figures of one run; shares in percent."""
    return {
        "last_accuracy": _percent(record.last.accuracy),
        "best_accuracy": _percent(record.best_accuracy),
        "agreement": _percent(record.last.agreement),
        "calibration_error": _percent(record.last.calibration_error),
        "seconds_per_epoch": record.seconds_per_epoch,
        "teacher_seconds_per_epoch": record.teacher_seconds,
    }


def headings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Of the columns: what tells the rows apart, the number of runs, the figures."""
    return (*_axes(rows), "n", *(figure.title for figure in FIGURES))


def cells_of_row(row: Row, rows: Sequence[Row], plus_minus: str = "±") -> tuple[str, ...]:
    """A row as text, below `headings`."""
    names = _names(row.group)
    figures = (_text(row.figures[figure.key], figure.digits, plus_minus) for figure in FIGURES)
    return (*(names[axis] for axis in _axes(rows)), str(row.n), *figures)


def table_csv(rows: Sequence[Row]) -> str:
    """Means and deviations in full, one line a row."""
    keys = [f"{figure.key}_{part}" for figure in FIGURES for part in ("mean", "std")]
    lines: list[dict[str, object]] = []
    for row in rows:
        line: dict[str, object] = {**_names(row.group), "n": row.n}
        for figure in FIGURES:
            spread = row.figures[figure.key]
            line |= {f"{figure.key}_mean": spread and spread.mean, f"{figure.key}_std": spread and spread.std}
        lines.append(line)
    return _csv([*AXES, "n", *keys], lines)


def runs_csv(records: Iterable[Record]) -> str:
    """The same figures of every single run, for somebody's own statistics."""
    lines = [
        {"run": record.name, **_names(record.group), "seed": record.seed, **figures_of(record)} for record in records
    ]
    return _csv(["run", *AXES, "seed", *(figure.key for figure in FIGURES)], lines)


def table_latex(rows: Sequence[Row]) -> str:
    """A `tabular` for the package booktabs."""
    axes, titles = _axes(rows), headings(rows)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"% {NOTE}",
        f"\\begin{{tabular}}{{{'l' * len(axes)}{'r' * (len(titles) - len(axes))}}}",
        "\\toprule",
        _latex_line(map(latex, titles)),
        "\\midrule",
        *(_latex_line(_latex_cells(row, rows)) for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """Text with everything escaped that LaTeX would read as a command.

    >>> print(latex("my_kd, 50 %"))
    my\\_kd, 50 \\%
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)


def _names(group: Group) -> dict[str, str]:
    return {
        "store": group.store,
        "student": group.student,
        "method": group.method,
        "settings": " ".join(group.settings),
        "teacher": group.teacher,
    }


def _axes(rows: Sequence[Row]) -> list[str]:
    """The method, and what else is not the same in all rows."""
    names = [_names(row.group) for row in rows]
    several = {axis for axis in AXES if len({of_row[axis] for of_row in names}) > 1}
    # that plain cross-entropy has no teacher is no news
    told = {"method", *several} - (set() if any(row.group.teacher == "live" for row in rows) else {"teacher"})
    return [axis for axis in AXES if axis in told]


def _row(group: Group, records: Sequence[Record]) -> Row:
    measured = [figures_of(record) for record in records]
    figures: dict[str, Spread | None] = {}
    for figure in FIGURES:
        values = [value for of_run in measured if (value := of_run[figure.key]) is not None]
        spread = spread_of(values) if values else None
        figures[figure.key] = replace(spread, std=None) if spread and figure.estimated else spread
    return Row(group=group, n=len(records), figures=figures)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _text(spread: Spread | None, digits: int, plus_minus: str) -> str:
    return UNKNOWN if spread is None else spread.text(digits, plus_minus)


def _csv(columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    target = io.StringIO()
    writer = csv.DictWriter(target, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return target.getvalue()


def _latex_cells(row: Row, rows: Sequence[Row]) -> list[str]:
    words, count = cells_of_row(row, rows, "\\pm"), len(_axes(rows))
    figures = ("--" if word == UNKNOWN else f"${word}$" for word in words[count:])
    return [*map(latex, words[:count]), *figures]


def _latex_line(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"
