"""The tables of docs/results.md as Markdown, from finished runs; what is not finished is said to be not run."""

import re
import shlex
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from finished import Apart, Comparison, accuracies, commands_as_run, ended_at
from published import PAPERS, PUBLISHED

from cache_kd.comparison.record import Record
from cache_kd.comparison.table import figures_of, spread_of
from cache_kd.inspection import inspect_store
from cache_kd.rundir import RunFolder

NOT_RUN = "not run"
# Student's t of a two-sided 95 % interval, by the number of pairs
QUANTILES = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
SPANS = (1, 10, 100)  # steps from the start on
COLUMNS = 118  # of a line of the page


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A difference of accuracies over the seeds that both sides have, in percentage points."""

    mean: float
    error: float  # standard error of the mean
    n: int

    def __str__(self) -> str:
        """Mean and standard error: `+1.20 ± 0.14`."""
        return f"{self.mean:+.2f} ± {self.error:.2f}"

    @property
    def tells(self) -> bool:
        """Whether zero lies outside the 95 % interval."""
        return abs(self.mean) > QUANTILES[self.n] * self.error


def commands(parts: Iterable[str]) -> str:
    """The commands of some parts, as a shell takes them."""
    wanted = set(parts)
    return "```sh\n" + "\n".join(_shell(words) for part, words in commands_as_run() if part in wanted) + "\n```"


def runs(comparisons: Iterable[Comparison]) -> str:
    """How far each comparison is, from when to when its runs ended, and with what they ran."""
    rows, environments = [], []
    for one in comparisons:
        ended = f"{min(one.ended):%Y-%m-%d %H:%M} to {max(one.ended):%Y-%m-%d %H:%M}" if one.ended else "-"
        rows.append([one.folder.name, f"{len(one.records)} of {one.runs}", ended, _seeds(one.records)])
        environments += [record.environment for record in one.records]
    described = dict.fromkeys(", ".join(f"{name} {value}" for name, value in one.items()) for one in environments)
    ran = "".join("\n\n" + "\n".join(_wrapped(f"Ran with {one}.", COLUMNS)) for one in described)
    return _table(["comparison", "runs finished", "first and last run ended (UTC)", "seeds"], rows) + ran


def teacher(results: Path) -> str:
    """The teacher of all parts but `published`."""
    columns = ["teacher", "parameters", "epochs", "seed", "test accuracy", "ECE", "seconds per epoch", "ended (UTC)"]
    path = results / "teacher"
    summary = RunFolder.open(path).summary if (path / "config.json").is_file() else None
    if summary is None:
        return _table(columns, [[NOT_RUN, *["-"] * (len(columns) - 1)]])
    figures = [
        summary["student"], f"{summary['parameters']:,}", summary["epochs"], summary["seed"],
        f"{100 * summary['accuracy']:.2f} %", f"{100 * summary['calibration_error']:.2f} %",
        f"{summary['seconds_per_epoch']:.0f}", f"{ended_at(path):%Y-%m-%d}",
    ]  # fmt: skip
    return _table(columns, [list(map(str, figures))])


def stores(results: Path) -> str:
    """Size and fidelity of each store that is complete."""
    columns = ["store", "rows", "codec", "on disk", "bytes a view", "teacher by its stored test logits",
               "against the exact logits", "gradient cosine, lowest"]  # fmt: skip
    rows = []
    for name in dict.fromkeys(Path(words[words.index("--store") + 1]).name for _, words in commands_as_run()
                              if words[0] == "dump"):  # fmt: skip
        path = results / name
        seen = inspect_store(path) if (path / "zarr.json").is_file() else None
        if seen is None or seen.complete < 1:
            rows.append([name, NOT_RUN if seen is None else "not finished", *["-"] * (len(columns) - 2)])
            continue
        manifest, cosines = seen.manifest, seen.gradient_cosines
        lowest = min(cosines, key=lambda method: cosines[method], default=None)
        rows.append([
            name,
            ", ".join(f"{part} {of.views} x {of.samples:,}" for part, of in manifest.parts.items()),
            manifest.codec["name"],
            f"{seen.bytes / 1e6:.1f} MB",
            f"{seen.bytes_per_view:.0f}",
            "-" if seen.teacher_accuracy is None else f"{100 * seen.teacher_accuracy:.2f} %",
            str(manifest.fidelity or "the same bits"),
            "1" if lowest is None else f"1 - {1 - cosines[lowest]:.0e} ({lowest})",
        ])  # fmt: skip
    return _table(columns, rows)


def same_accuracy(live: Sequence[Record], cached: Mapping[str, Sequence[Record]]) -> str:
    """Test accuracy after every epoch with the live teacher and from each store."""
    sides = {"live teacher": live, **cached}
    epochs = max((len(record.epochs) for records in sides.values() for record in records), default=0)
    columns = [
        "teacher's logits",
        "n",
        *(f"epoch {epoch + 1}" for epoch in range(epochs)),
        "last, minus live",
        "s/epoch",
    ]
    rows = []
    for label, records in sides.items():
        if not records:
            rows.append([label, NOT_RUN, *["-"] * (epochs + 2)])
            continue
        course = [spread_of(of_epoch).text(2) for of_epoch in zip(*map(accuracies, records), strict=True)]
        against = "" if records is live else _difference(records, live)
        rows.append([label, str(len(records)), *course, against, _spread(records, "seconds_per_epoch")])
    return _table(columns, rows)


def same_loss(compared: Mapping[str, Mapping[int, Apart]]) -> str:
    """How far the loss of each step from a store is from that of the live teacher, relative to it.

    Args:
        compared: name of the store -> seed -> what came out.
    """
    spans = [f"first {span} (max / mean)" if span > 1 else "first step" for span in SPANS]
    columns = ["store", "seed", "steps", "equal steps at the start", *spans, "all (max / mean)", "final weights"]
    rows = []
    for label, of_seeds in compared.items():
        rows += [_loss_row(label, seed, one) for seed, one in of_seeds.items()]
        if not of_seeds:
            rows.append([label, NOT_RUN, *["-"] * (len(columns) - 2)])
    return _table(columns, rows)


def methods(one: Comparison) -> str:
    """Every method, the best after the last epoch first, and its difference to KD over the same seeds."""
    rows = [(method, one.of(method=method)) for method in one.methods]
    return _ranking("method", rows, one.seeds, "KD", one.of(method="kd")) + _verdict(one)


def views(one: Comparison) -> str:
    """The same number of epochs with more and more views of each image."""
    rows = [(f"V = {count}", one.of(views=str(count))) for count in one.views]
    first = one.views[0]
    return _ranking("views", rows, one.seeds, f"V = {first}", one.of(views=str(first)), by_rank=False)


def published(one: Comparison) -> str:
    """The best epoch beside what papers report of the same pair."""
    columns = ["student", "method", "published, best %", "paper and table", "ours, best %", "ours, last %", "n"]
    rows = []
    for student in one.students:
        for method in one.methods:
            reported = PUBLISHED.get((student, method))
            records = one.of(student=student, method=method)
            ours = [_spread(records, "best_accuracy"), _spread(records, "last_accuracy"), _count(records, one.seeds)]
            said = [f"{reported.accuracy:.2f}", reported.source] if reported else ["-", "no table was at hand"]
            rows.append([student, method, *said, *(ours if records else ["not run: no GPU was at hand", "-", "0"])])
    return _table(columns, rows) + "\n\n" + "\n".join(f"* {name}: {paper}." for name, paper in PAPERS.items())


def pairs_of(ours: Sequence[Record], theirs: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Runs of one seed."""
    by_seed = {record.seed: record for record in theirs}
    return [(record, by_seed[record.seed]) for record in ours if record.seed in by_seed]


def paired(ours: Sequence[Record], theirs: Sequence[Record]) -> Paired | None:
    """Accuracy after the last epoch, ours minus theirs; None where fewer than two seeds have both."""
    differences = [accuracies(one)[-1] - accuracies(other)[-1] for one, other in pairs_of(ours, theirs)]
    if len(differences) < 2:
        return None
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return Paired(mean=statistics.fmean(differences), error=error, n=len(differences))


def by_last(rows: Iterable[tuple[str, Sequence[Record]]]) -> list[tuple[str, Sequence[Record]]]:
    """The highest accuracy after the last epoch first, what has no run at the end."""

    def rank(row: tuple[str, Sequence[Record]]) -> float:
        return -statistics.fmean(accuracies(record)[-1] for record in row[1]) if row[1] else 1.0

    return sorted(rows, key=rank)


def _ranking(
    title: str,
    rows: Sequence[tuple[str, Sequence[Record]]],
    seeds: int,
    baseline: str,
    of_baseline: Sequence[Record],
    *,
    by_rank: bool = True,
) -> str:
    figures = ("last_accuracy", "best_accuracy", "agreement", "calibration_error", "seconds_per_epoch")
    columns = [title, "n", "last %", "best %", "agree %", "ECE %", "s/epoch", f"last, minus {baseline}"]
    body = []
    for label, records in by_last(rows) if by_rank else rows:
        if not records:
            body.append([label, "0", NOT_RUN, *["-"] * (len(columns) - 3)])
            continue
        against = "" if records == of_baseline else _difference(records, of_baseline)
        body.append([label, _count(records, seeds), *(_spread(records, figure) for figure in figures), against])
    return _table(columns, body)


def _verdict(one: Comparison) -> str:
    """Which methods tell themselves apart from KD, once a method and KD have all their seeds."""
    known = {
        method: found
        for method in one.methods
        if method != "kd" and (found := paired(one.of(method=method), one.of(method="kd"))) and found.n == one.seeds
    }
    if not known:
        return ""
    above = [method for method, found in known.items() if found.tells and found.mean > 0]
    below = [method for method, found in known.items() if found.tells and found.mean < 0]
    neither = [method for method, found in known.items() if not found.tells]
    text = (
        f"Against KD over the same {one.seeds} seeds, by a 95 % interval (Student's t, "
        f"{QUANTILES[one.seeds]} standard errors, not corrected for the {len(known)} comparisons): above KD "
        f"{_listed(above)}; below it {_listed(below)}; not to be told apart {_listed(neither)}."
    )
    return "\n\n" + "\n".join(_wrapped(text, COLUMNS))


def _loss_row(label: str, seed: int, one: Apart) -> list[str]:
    apart = one.losses
    differing = np.flatnonzero(apart)
    same = f"{differing[0]:,}" if len(differing) else "all"
    spans = [_size(apart[0]), *(f"{_size(apart[:n].max())} / {_size(apart[:n].mean())}" for n in (*SPANS[1:], None))]
    return [label, str(seed), f"{len(apart):,}", same, *spans, "the same bits" if one.same_weights else "others"]


def _size(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _difference(ours: Sequence[Record], theirs: Sequence[Record]) -> str:
    found = paired(ours, theirs)
    return "-" if found is None else f"{found} (n = {found.n})"


def _spread(records: Sequence[Record], figure: str) -> str:
    """Mean ± standard deviation; - where nobody could measure it."""
    values = [value for record in records if (value := figures_of(record)[figure]) is not None]
    return spread_of(values).text(2) if values else "-"


def _count(records: Sequence[Record], seeds: int) -> str:
    return str(len(records)) if len(records) == seeds else f"{len(records)} of {seeds}"


def _seeds(records: Sequence[Record]) -> str:
    return ", ".join(map(str, sorted({record.seed for record in records}))) or "-"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _shell(words: Sequence[str]) -> str:
    """One command, broken before its options; one thread where the experiment gives it one."""
    line = shlex.join(["kdcache", *words])
    whole = f"OMP_NUM_THREADS=1 {line}" if words[0] == "train" else line
    unbroken = re.sub(" (?!--)", "\xa0", whole)
    return " \\\n".join(_wrapped(unbroken, COLUMNS - 2, indent="    ")).replace("\xa0", " ")


def _wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
