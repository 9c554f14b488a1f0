"""What people see: progress and words on stderr, results on stdout."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cache_kd.progress import Advance


class Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "", style="cyan")


class Terminal:
    """Progress for a person at a terminal; without one, only the words."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    def say(self, message: str) -> None:
        """One line of text."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def task(self, title: str, total: int, unit: str) -> Iterator[Advance]:
        """A bar with count, rate and time left."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as bars:
            task = bars.add_task(title, total=total, unit=unit)
            yield lambda done: bars.advance(task, done)


def print_json(result: Any) -> None:
    """`result` as JSON on stdout."""
    click.echo(json.dumps(result, indent=2, default=str))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """A table on stdout; the columns named in `right` are numbers, no cell of those in `whole` is broken into lines."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(
            column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in whole
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def print_pairs(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values on stdout."""
    print_table(title, ("what", "value"), pairs)


def size(count: int) -> str:
    """Bytes for a person.

    >>> size(1_536_000)
    '1.5 MB'
    """
    if count < 1000:
        return f"{count} B"
    for power, unit in enumerate(("kB", "MB", "GB"), start=1):
        if count < 1000 ** (power + 1):
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count / 1000**4:.1f} TB"
