"""One self-contained HTML page about a comparison: a table, pictures, the saving, and where the numbers come from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from cache_kd.comparison import pictures
from cache_kd.comparison.grid import Group
from cache_kd.comparison.pictures import COLOURS, Series
from cache_kd.comparison.record import EpochRecord, Record
from cache_kd.comparison.saving import Account, savings_of
from cache_kd.comparison.table import NOTE, Row, cells_of_row, headings
from cache_kd.disk import mending
from cache_kd.errors import RunError
from cache_kd.files import write_whole


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture under a heading."""

    title: str
    note: str
    svgs: tuple[tuple[str, Markup], ...]  # caption, "" for none; the picture
    small: bool = False  # many beside each other


@dataclass(frozen=True, kw_only=True)
class Section:
    """All pictures of one student and one store."""

    title: str
    series: tuple[Series, ...]
    panels: tuple[Panel, ...]


def write_page(
    path: Path,
    *,
    rows: Sequence[Row],
    records: Sequence[Record],
    failed: Mapping[str, str],
    accounts: Sequence[Account],
    stores: Mapping[str, Mapping[str, str]],
    commands: Mapping[str, str],
    command: str,
) -> None:
    """Write the page to `path`; pictures are SVG inside it, nothing is loaded from elsewhere and nothing runs.

    Args:
        path: of the HTML file.
        rows: of the table.
        records: of every finished run.
        failed: name of a run -> why it failed.
        accounts: of the stores whose teacher could be timed.
        stores: name -> facts by their names.
        commands: name of a run -> the command that repeats it.
        command: that made the comparison.

    Raises:
        RunError: the file cannot be written.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("cache_kd.comparison").joinpath("page.html").read_text("utf-8"))
    page = template.render(
        summary=_summary(records),
        columns=headings(rows),
        names=headings(rows).index("n"),
        rows=[cells_of_row(row, rows) for row in rows],
        note=NOTE,
        failed=failed,
        sections=sections_of(records),
        savings=savings_of(records),
        accounts=accounts,
        stores=stores,
        environments=_environments(records),
        commands=commands,
        command=command,
    )
    with mending(path, RunError, option="--out", again="run the same command again"):
        write_whole(path, page.encode())


def sections_of(records: Sequence[Record]) -> list[Section]:
    """The pictures, one section for each store and student."""
    pairs = dict.fromkeys((record.group.store, record.group.student) for record in records)
    return [
        _section(f"{student} from {store}", [one for one in records if (one.group.store, one.group.student) == pair])
        for pair in pairs
        for store, student in [pair]
    ]


def _section(title: str, records: Sequence[Record]) -> Section:
    series = _series(records)
    panels = (_results(series), _curves(series), _reliability(series), _temperatures(series), _cost(series))
    return Section(title=title, series=series, panels=tuple(panel for panel in panels if panel.svgs))


def _series(records: Sequence[Record]) -> tuple[Series, ...]:
    """One for each group; a live teacher's has the colour of the same method from the store."""
    groups: dict[Group, list[Record]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    places = {group: number for number, group in enumerate(dict.fromkeys(group.cached for group in groups))}
    return tuple(
        Series(
            label=group.label,
            colour=COLOURS[places[group.cached] % len(COLOURS)],
            live=group.teacher == "live",
            records=tuple(of_group),
        )
        for group, of_group in groups.items()
    )


def _results(series: Sequence[Series]) -> Panel:
    asked: list[tuple[str, str, Callable[[Record], float | None]]] = [
        ("Accuracy after the last epoch", "test accuracy, %", lambda record: _percent(record.last.accuracy)),
        ("Accuracy of the best epoch", "test accuracy, %", lambda record: _percent(record.best_accuracy)),
        ("Agreement with the teacher", "same class named, %", lambda record: _percent(record.last.agreement)),
        ("Calibration error", "expected calibration error, %", lambda record: _percent(record.last.calibration_error)),
    ]
    svgs = tuple(
        (title, Markup(pictures.spreads(series, value, axis, title)))
        for title, axis, value in asked
        if _known(series, value)
    )
    return Panel(title="Results", note="A small dot is one run; the bar is one standard deviation each way.", svgs=svgs)


def _curves(series: Sequence[Series]) -> Panel:
    asked: list[tuple[str, str, Callable[[EpochRecord], float | None]]] = [
        ("Test accuracy", "%", lambda epoch: _percent(epoch.accuracy)),
        ("Test cross-entropy", "nats", lambda epoch: epoch.cross_entropy),
        ("Cross-entropy with the labels in training", "nats", lambda epoch: epoch.label_loss),
        ("Agreement over training", "%", lambda epoch: _percent(epoch.agreement)),
    ]
    svgs = tuple(
        (title, Markup(pictures.courses(series, value, axis, title, log=axis == "nats")))
        for title, axis, value in asked
        if _known(series, lambda record, value=value: value(record.last))  # type: ignore[misc]
    )
    return Panel(
        title="Learning curves",
        note="Mean over the seeds; the band is one standard deviation each way, of the logarithm on logarithmic axes.",
        svgs=svgs,
    )


def _reliability(series: Sequence[Series]) -> Panel:
    drawn = ((one.label, pictures.reliability(one)) for one in series)
    return Panel(
        title="Calibration",
        note="How often a student is right in each of 15 bins of its confidence: last epoch, all seeds together. "
        "Bars on the dotted line are calibrated, below it overconfident; the paler a bar, the fewer samples it holds.",
        svgs=tuple((label, Markup(svg)) for label, svg in drawn if svg is not None),
        small=True,
    )


def _temperatures(series: Sequence[Series]) -> Panel:
    drawn = ((one.label, pictures.temperatures(one)) for one in series)
    return Panel(
        title="Temperatures",
        note="What divides the teacher's raw logits, sample by sample: the median, the middle half and the middle "
        "nine tenths of a batch, mean of the logged batches. Broken lines are further terms of a method.",
        svgs=tuple((label, Markup(svg)) for label, svg in drawn if svg is not None),
        small=True,
    )


def _cost(series: Sequence[Series]) -> Panel:
    asked: list[tuple[str, str, Callable[[Record], float | None]]] = [
        ("Time per step", "ms", lambda record: 1000 * record.step_seconds),
        ("Peak memory", "MB", lambda record: None if record.peak_bytes is None else record.peak_bytes / 1e6),
        ("Share of the time that a step waits for its batch", "%", lambda record: 100 * record.waiting),
    ]
    svgs = tuple(
        (title, Markup(pictures.amounts(series, value, axis, title)))
        for title, axis, value in asked
        if _known(series, value)
    )
    return Panel(
        title="Time and memory",
        note="Memory is the GPU's, or on a CPU all that the process holds. Runs that share a machine slow each "
        "other down: compare times of runs that had the same company (--jobs).",
        svgs=svgs,
    )


def _known(series: Sequence[Series], value: Callable[[Record], float | None]) -> bool:
    return any(value(record) is not None for one in series for record in one.records)


def _summary(records: Sequence[Record]) -> str:
    students = sorted({record.group.student for record in records})
    methods = dict.fromkeys(record.group.method for record in records)
    seeds = sorted({record.seed for record in records})
    stores = sorted({record.group.store for record in records})
    epochs = sorted({len(record.epochs) for record in records})
    return (
        f"{len(records)} runs: {', '.join(methods)}; student {', '.join(students)}; store {', '.join(stores)}; "
        f"{' or '.join(map(str, epochs))} epochs, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}."
    )


def _environments(records: Sequence[Record]) -> list[dict[str, str]]:
    """Every kind of machine that a run had, each once."""
    return list({tuple(sorted(record.environment.items())): record.environment for record in records}.values())


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
