"""The table that moves while many runs are trained: those at work, those that failed, and how far all of it is."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cache_kd.cli.console import Terminal
from cache_kd.comparison.pool import Progressed

COLOUR = {"running": "cyan", "failed": "red"}


class Board:
    """Shows the runs of a comparison; where nobody sits at a terminal, says one line for each that ended."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        console = Console(stderr=True)
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._said: set[str] = set()
        self._began = time.monotonic()

    def __enter__(self) -> "Board":
        """Begin to show."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the table away."""
        if self._live:
            self._live.stop()

    def show(self, states: Sequence[Progressed]) -> None:
        """How far each run is now."""
        for state in states:
            if (
                state.started is not None
                and state.stage in ("finished", "failed")
                and state.cell.name not in self._said
            ):
                self._said.add(state.cell.name)
                done = sum(other.stage == "finished" for other in states)
                self._terminal.say(f"{state.cell.name} {state.stage} ({done} of {len(states)} runs are finished)")
        if self._live:
            self._live.update(moving_table(states, time.monotonic() - self._began), refresh=True)


def moving_table(states: Sequence[Progressed], seconds: float) -> Table:
    """The runs at work and those that failed, and a line for all of them.

    Args:
        states: of all runs.
        seconds: since the first was begun.
    """
    table = Table.grid(padding=(0, 2))
    for state in states:
        if state.stage in COLOUR:
            text = Text(
                f"{100 * state.share:.0f} %" if state.stage == "running" else "failed", style=COLOUR[state.stage]
            )
            table.add_row(Text(state.cell.name), _bar(state.share), text)
    share = sum(state.share for state in states) / len(states)
    gained = share - sum(state.before for state in states) / len(states)
    left = f", {_duration(seconds * (1 - share) / gained)} left" if gained > 0 else ""
    finished = sum(state.stage == "finished" for state in states)
    table.add_row(Text("all", style="bold"), _bar(share), Text(f"{finished}/{len(states)} runs{left}"))
    return table


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, width=30)


def _duration(seconds: float) -> str:
    """
    >>> _duration(7384.0)
    '2 h 03 min'
    """
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min" if minutes else "< 1 min"
