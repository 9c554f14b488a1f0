"""The pictures of a comparison as SVG whose ink is the page's, so that they turn dark with it; pure."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from cache_kd.comparison.record import EpochRecord, Record
from cache_kd.comparison.table import Spread, spread_of

# mid-tones, told apart on white and on black; a thirteenth method takes the first again
COLOURS = (
    "#4c8bd0", "#e8862e", "#4aa564", "#dd5a5f", "#9a78c8", "#a97b5d",
    "#d877b5", "#8a9099", "#b0a52a", "#35aebd", "#6d6fd6", "#c0603a",
)  # fmt: skip
# what matplotlib writes, and the page's own colour that takes its place
INK, FAINT, PAPER = "#010101", "#020202", "#030303"
VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)", PAPER: "var(--paper)"}

# Any: the keys that matplotlib's types allow change with its version
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True, kw_only=True)
class Series:
    """Runs that differ in their seed only, and how they are drawn."""

    label: str
    colour: str
    live: bool  # drawn with a broken line
    records: tuple[Record, ...]


def spreads(series: Sequence[Series], value: Callable[[Record], float | None], axis: str, title: str) -> str:
    """For each series a bar from mean - std to mean + std, its mean, and every run as a point.

    Args:
        series: from top to bottom.
        value: of a run; a series without one is left out.
        axis: what the value is.
        title: for readers who do not see the picture.
    """
    shown = [(one, values) for one in series if (values := _values(one, value))]

    def draw(axes: Axes) -> None:
        for place, (one, values) in enumerate(shown):
            spread = spread_of(values)
            half = spread.std or 0.0
            axes.barh(place, 2 * half, left=spread.mean - half, height=0.56, color=one.colour, alpha=0.35)
            axes.plot(values, [place] * len(values), "o", markersize=3.2, color=one.colour, alpha=0.75)
            axes.plot(spread.mean, place, **_mark(one))
        axes.set_yticks(range(len(shown)), [one.label for one, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.use_sticky_edges = False  # of the bars: they would end where the picture does
        axes.margins(x=0.06)
        axes.set_xlabel(axis)
        axes.grid(axis="y", visible=False)

    return _picture(draw, title=title, size=(5.0, 0.7 + 0.27 * len(shown)))


def courses(
    series: Sequence[Series], value: Callable[[EpochRecord], float | None], axis: str, title: str, *, log: bool = False
) -> str:
    """The mean over the seeds in each epoch, and a band of one standard deviation to each side.

    Args:
        series: each is one line.
        value: of an epoch; a series without one is left out.
        axis: what the value is.
        title: for readers who do not see the picture.
        log: the axis, and with it mean and deviation, are those of the logarithm.
    """

    def draw(axes: Axes) -> None:
        for one in series:
            low, middle, high = _over_epochs(one, value, log)
            if not len(middle):
                continue
            epochs = np.arange(1, len(middle) + 1)
            axes.fill_between(epochs, low, high, color=one.colour, alpha=0.16, linewidth=0)
            _draw_line(axes, middle, one.colour, "--" if one.live else "-")
        _epoch_axis(axes)
        axes.set_ylabel(axis)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())

    return _picture(draw, title=title, size=(5.0, 3.1))


def reliability(one: Series) -> str | None:
    """How often a series is right (bars) against how sure it is (line of perfect calibration), over all its runs."""
    known = [record.reliability for record in one.records if record.reliability is not None]
    if not known:
        return None
    samples = np.sum([bins.samples for bins in known], axis=0)
    right = np.sum([np.multiply(bins.samples, bins.accuracy) for bins in known], axis=0)
    accuracy = np.divide(right, samples, out=np.zeros(len(samples)), where=samples > 0)

    def draw(axes: Axes) -> None:
        width = 1 / len(samples)
        left = width * np.arange(len(samples))
        shares = samples / samples.max()
        for place, height, share in zip(left, accuracy, shares, strict=True):
            # how many samples a bin holds, as strength; the rarest is still seen
            axes.bar(
                place, height, width=0.92 * width, align="edge", color=one.colour, alpha=0.25 + 0.75 * float(share)
            )
        axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")

    return _picture(draw, title=f"Reliability diagram of {one.label}", size=(2.7, 2.5))


def temperatures(one: Series) -> str | None:
    """The teacher's temperatures over training: median, middle half and middle nine tenths of the samples.

    One line for each term of the method that has temperatures of its own.
    """
    courses_of_terms = _temperatures(one)
    if not courses_of_terms:
        return None

    def draw(axes: Axes) -> None:
        for number, levels in enumerate(courses_of_terms):
            epochs = np.arange(1, len(levels) + 1)
            for low, high, alpha in ((0, 4, 0.15), (1, 3, 0.3)):
                axes.fill_between(epochs, levels[:, low], levels[:, high], color=one.colour, alpha=alpha, linewidth=0)
            _draw_line(axes, levels[:, 2], one.colour, ("-", "--", ":")[number % 3])
        lowest, highest = axes.get_ylim()
        if highest - lowest < 0.5:  # a constant is no drama
            middle = (lowest + highest) / 2
            axes.set_ylim(max(0.0, middle - 0.5), middle + 0.5)
        _epoch_axis(axes)
        axes.set_ylabel("temperature")

    return _picture(draw, title=f"Temperatures of {one.label}", size=(2.7, 2.2))


def amounts(series: Sequence[Series], value: Callable[[Record], float | None], axis: str, title: str) -> str:
    """Bars from zero, with the standard deviation over the runs.

    Args:
        series: from top to bottom.
        value: of a run, at least 0; a series without one is left out.
        axis: what the value is.
        title: for readers who do not see the picture.
    """
    shown = [(one, spread_of(values)) for one in series if (values := _values(one, value))]

    def draw(axes: Axes) -> None:
        for place, (one, spread) in enumerate(shown):
            axes.barh(place, spread.mean, height=0.6, color=one.colour, alpha=0.45 if one.live else 0.85)
            axes.errorbar(spread.mean, place, xerr=spread.std or 0.0, color=INK, linewidth=1, capsize=2)
            axes.annotate(
                _short(spread), (spread.mean + (spread.std or 0.0), place), (4, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        axes.set_yticks(range(len(shown)), [one.label for one, _ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.margins(x=0.18)
        axes.set_xlabel(axis)
        axes.grid(axis="y", visible=False)

    return _picture(draw, title=title, size=(5.0, 0.7 + 0.27 * len(shown)))


def _short(spread: Spread) -> str:
    return f"{spread.mean:.3g}" if spread.mean < 1000 else f"{spread.mean:,.0f}"


def _mark(one: Series) -> dict[str, Any]:
    return {
        "marker": "D" if one.live else "o",
        "markersize": 6.5,
        "markerfacecolor": PAPER if one.live else one.colour,
        "markeredgecolor": one.colour if one.live else PAPER,
        "markeredgewidth": 1.2,
    }


def _values(one: Series, value: Callable[[Record], float | None]) -> list[float]:
    return [found for record in one.records if (found := value(record)) is not None]


def _over_epochs(
    one: Series, value: Callable[[EpochRecord], float | None], log: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """In each epoch mean - std, mean and mean + std; empty where a run has no such value."""
    table = np.array([[value(epoch) for epoch in record.epochs] for record in one.records], dtype=np.float64)
    if np.isnan(table).any():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    table = np.log(table) if log else table
    mean = table.mean(0)
    deviation = table.std(0, ddof=1) if len(table) > 1 else np.zeros(len(mean))
    low, middle, high = (np.exp(line) if log else line for line in (mean - deviation, mean, mean + deviation))
    return low, middle, high


def _temperatures(one: Series) -> list[NDArray[np.float64]]:
    """[epochs, quantiles] of each term, mean over the runs; of terms that are alike only the first."""
    table = np.array([[epoch.tau for epoch in record.epochs] for record in one.records], dtype=np.float64)
    if not table.size:
        return []
    terms = np.moveaxis(table.mean(0), 1, 0)
    return [term for number, term in enumerate(terms) if not any(np.allclose(term, other) for other in terms[:number])]


def _draw_line(axes: Axes, values: NDArray[np.float64], colour: str, style: str) -> None:
    """A value for each epoch; with points where a line alone would hardly be seen."""
    marker = "o" if len(values) < 3 else ""
    epochs = np.arange(1, len(values) + 1)
    axes.plot(epochs, values, color=colour, linewidth=1.6, linestyle=style, marker=marker, markersize=3.5)


def _epoch_axis(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _picture(draw: Callable[[Axes], None], *, title: str, size: tuple[float, float]) -> str:
    """What `draw` draws, as an <svg> that fills its place; equal figures give equal text."""
    # the salt keeps the ids of one picture from those of another on the same page
    with rc_context({**STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        target = io.StringIO()
        metadata: dict[str, Any] = {"Date": None}
        figure.savefig(target, format="svg", metadata=metadata, transparent=True)
    text = target.getvalue()
    svg = text[text.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{_attribute(title)}"', svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 system-ui, sans-serif", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
