"""The pictures of docs/results.md as SVG files that turn dark with the page; equal runs give equal files."""

import io
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from finished import Apart, Comparison, accuracies
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from results_tables import by_last

from cache_kd.comparison import pictures
from cache_kd.comparison.pictures import COLOURS, STYLE, VARIABLES, Series
from cache_kd.comparison.record import Record

LIGHT = "--ink:#24292f;--line:#d0d7de;--paper:#ffffff"
DARK = "--ink:#e6edf3;--line:#3d444d;--paper:#0d1117"
LEAST = 1e-8  # relative difference from which on the axis is logarithmic; below it lies zero
BINS = 60  # of steps, evenly on the logarithm: a curve of thousands of points says no more


def methods(one: Comparison) -> str:
    """Accuracy of each method after the last epoch: mean, standard deviation, every run; the best on top."""
    series = [
        Series(label=method, colour=COLOURS[one.methods.index(method)], live=False, records=tuple(records))
        for method, records in by_last([(method, one.of(method=method)) for method in one.methods])
    ]
    title = "Test accuracy of each method after the last epoch"
    svg = pictures.spreads(series, lambda record: accuracies(record)[-1], "test accuracy, last epoch, %", title)
    return _on_both_papers(_sized(svg))


def same(sides: Mapping[str, Sequence[Record]], compared: Mapping[str, Mapping[int, Apart]]) -> str:
    """Left the test accuracy over the epochs of each side, right how far the loss of each step is from the live one.

    Args:
        sides: name -> its runs, the live one first; those without runs are left out.
        compared: name of a store -> seed -> what came out.
    """
    title = "Training with the live teacher and from its cached logits"
    with rc_context({**STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        accuracy, loss = figure.subplots(1, 2)
        colours = dict(zip(sides, COLOURS, strict=False))
        for label, records in sides.items():
            if records:
                _draw_accuracy(accuracy, label, records, colours[label], reference=label == next(iter(sides)))
        for label, of_seeds in compared.items():
            if of_seeds:
                _draw_apart(loss, [one.losses for one in of_seeds.values()], colours[label])
        accuracy.set(xlabel="epoch", ylabel="test accuracy, %")
        accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
        accuracy.legend(frameon=False, loc="lower right")
        loss.set(xlabel="step", ylabel="loss, |cached - live| / live", xscale="log")
        loss.set_yscale("symlog", linthresh=LEAST)
        loss.set_ylim(bottom=-LEAST / 10)
        target = io.StringIO()
        metadata: dict[str, Any] = {"Date": None}
        figure.savefig(target, format="svg", metadata=metadata, transparent=True)
    svg = target.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return _on_both_papers(svg)


def _draw_accuracy(axes: Axes, label: str, records: Sequence[Record], colour: str, *, reference: bool) -> None:
    """The mean over the seeds, with a bar of one standard deviation to each side; the reference broken, on top."""
    table = np.array([accuracies(record) for record in records])
    deviation = table.std(0, ddof=1) if len(table) > 1 else np.zeros(table.shape[1])
    epochs = np.arange(1, table.shape[1] + 1)
    axes.errorbar(
        epochs, table.mean(0), deviation, label=label, color=colour, capsize=3, linewidth=1.6,
        linestyle="--" if reference else "-", zorder=3 if reference else 2,
    )  # fmt: skip


def _draw_apart(axes: Axes, of_seeds: Sequence[NDArray[np.float64]], colour: str) -> None:
    """The largest difference of each stretch of steps, over the seeds."""
    most = np.max(of_seeds, axis=0)
    bounds = np.unique(np.geomspace(1, len(most) + 1, BINS).astype(int))
    largest = [most[low - 1 : high - 1].max() for low, high in pairwise(bounds)]
    axes.plot(bounds[:-1], largest, color=colour, linewidth=1.6)


def _sized(svg: str) -> str:
    """An <svg> that would fill its place, as large as it was drawn."""
    [(width, height)] = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return svg.replace("<svg", f'<svg width="{width}pt" height="{height}pt"', 1)


def _on_both_papers(svg: str) -> str:
    """With the colours that a page would give it, for light and for dark."""
    style = f"<style>svg{{{LIGHT}}}@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}</style>"
    opening, _, content = svg.partition(">")
    return f"{opening}>\n{style}{content}"
