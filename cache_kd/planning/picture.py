"""Draws what codecs take against what they lose, as a figure for a file or a page."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Bbox

from cache_kd.planning.choice import DEFAULT_KL, DEFAULT_TEMPERATURES, Choice, Wish
from cache_kd.planning.price import Price

FRONT, BESIDE, LIMIT, INK = "#2f6db3", "#9aa0a6", "#c8553d", "#2a2a2e"
TEXT = 8.5  # points
NEAR, FAR = 8, 18
# of a name from its point, in points: the first that is free is taken
PLACES = [(across, up) for up in (6, -6, NEAR, -NEAR, FAR, -FAR) for across in (NEAR, -NEAR, 0)]


def draw(prices: Sequence[Price], choice: Choice, wish: Wish, *, title: str) -> Figure:
    """Bytes of the store against KL at the temperature that counts, both logarithmic; smaller and truer is lower left.

    What loses nothing stands at the foot, where the axis says 0. The front is a line, what was asked for are dashed
    lines, and the recommended codec has a ring.
    """
    figure = Figure(figsize=(8.6, 5.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    lost = {price.codec: price.fidelity.kl[wish.at_tau] for price in prices}
    foot = _foot([*lost.values(), *_kl_limits(wish)])
    points = {price.codec: (price.size.total / 1e6, lost[price.codec] or foot) for price in prices}
    _prepare(axes, points.values(), wish, foot)
    steps = [points[name] for name in choice.front]
    axes.plot(*zip(*steps, strict=True), color=FRONT, linewidth=1.2, alpha=0.5, drawstyle="steps-post", zorder=1)
    kinds: list[tuple[str, list[str], dict[str, Any]]] = [
        ("none is as small and truer", list(choice.front), {"s": 42, "color": FRONT, "zorder": 3}),
        (
            "another is",
            [*points.keys() - {*choice.front}],
            {"s": 42, "color": "white", "edgecolors": BESIDE, "zorder": 3},
        ),
        (
            "recommended",
            [choice.recommended] if choice.recommended else [],
            {"s": 230, "facecolors": "none", "edgecolors": LIMIT, "linewidths": 2, "zorder": 4},
        ),
    ]
    for label, names, style in kinds:
        if names:
            axes.scatter(*zip(*(points[name] for name in names), strict=True), label=label, **style)
    axes.legend(loc="upper right", fontsize=TEXT, frameon=False, labelspacing=0.9)
    axes.set_xlabel("the whole store, MB")
    axes.set_ylabel(f"KL(teacher || stored) at T = {wish.at_tau}, nats")
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    _write_names(figure, axes, points, choice)
    return figure


def _kl_limits(wish: Wish) -> list[float]:
    """The limits at the temperature that is drawn."""
    if wish.max_kl is not None:
        return [wish.max_kl]
    return [DEFAULT_KL] if wish.is_default and wish.at_tau in DEFAULT_TEMPERATURES else []


def _foot(values: Iterable[float]) -> float:
    """Where 0 stands: a decade and a half below the smallest of the positive values."""
    return min((value for value in values if value > 0), default=1e-6) / 30


def _prepare(axes: Axes, points: Iterable[tuple[float, float]], wish: Wish, foot: float) -> None:
    """Scales, limits of the axes, and the lines of what was asked for."""
    sizes, divergences = zip(*points, strict=True)
    budget = [] if wish.budget_bytes is None else [wish.budget_bytes / 1e6]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min([*sizes, *budget]) / 1.25, max([*sizes, *budget]) * 1.45)
    highest = max([*divergences, *_kl_limits(wish)])
    axes.set_ylim(foot / 2.5, highest * 12)
    axes.xaxis.set_major_locator(FixedLocator(_round_numbers(*axes.get_xlim())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    decades = [10.0**power for power in range(-20, 4) if 8 * foot < 10.0**power < 4 * highest]
    axes.yaxis.set_major_locator(FixedLocator([foot, *decades[:: -(-len(decades) // 8) or 1]]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value <= foot else f"{value:.0e}"))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    dashed: dict[str, Any] = {"color": LIMIT, "linestyle": (0, (4, 3)), "linewidth": 1.1, "zorder": 0}
    words: dict[str, Any] = {"color": LIMIT, "fontsize": TEXT}
    for megabytes in budget:
        axes.axvline(megabytes, **dashed)
        axes.annotate(" budget", (megabytes, 1), xycoords=("data", "axes fraction"), va="top", **words)
    for kl in _kl_limits(wish):
        axes.axhline(kl, **dashed)
        axes.annotate(" limit", (0, kl), xycoords=("axes fraction", "data"), va="bottom", **words)


def _round_numbers(low: float, high: float) -> list[float]:
    """Numbers of one or two digits between `low` and `high`, more of them where these are close."""
    firsts = (1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 4, 5, 7)
    return [first * 10.0**power for power in range(-9, 10) for first in firsts if low <= first * 10.0**power <= high]


def _write_names(figure: Figure, axes: Axes, points: dict[str, tuple[float, float]], choice: Choice) -> None:
    """Each codec's name beside its point, from the top down, where neither a point nor another name stands."""
    figure.draw_without_rendering()  # settles where a point is on the paper
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in axes.transData.transform(list(points.values()))]
    for name, point in sorted(points.items(), key=lambda entry: -entry[1][1]):
        text = axes.annotate(name, point, xytext=PLACES[0], textcoords="offset points", fontsize=TEXT, color=INK)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5})
        text.set_fontweight("bold" if name == choice.recommended else "normal")
        for across, up in PLACES:
            text.set_position((across, up))
            text.set_horizontalalignment("left" if across > 0 else "right" if across < 0 else "center")
            text.set_verticalalignment("bottom" if up > 0 else "top" if up < 0 else "center")
            box = text.get_window_extent()
            if axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and not any(map(box.overlaps, taken)):
                break
        taken.append(text.get_window_extent())
