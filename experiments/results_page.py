"""Fills the tables and draws the pictures of docs/results.md from what experiments/cifar100.py has left.

    python experiments/results_page.py results [--page docs/results.md]

Between `<!-- table: NAME -->` and `<!-- end -->` the page is this script's, the rest is yours. Only finished runs
count; what has none is said to be not run. Run it as often as you like, also while runs go on.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import results_pictures
import results_tables
from finished import Apart, Comparison, apart, commands_as_run, read_comparisons
from results_tables import NOT_RUN

from cache_kd.comparison.record import Record
from cache_kd.errors import ConfigError, KdCacheError
from cache_kd.files import write_whole

PLACE = re.compile(r"(<!-- table: ([a-z0-9 -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CODECS = ("float32", "float16")  # of the two stores; the runs with the live teacher lie beside those of the first
PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def main() -> None:
    """Write the page and its pictures anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the --out of experiments/cifar100.py")
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    try:
        write_page(arguments.results, arguments.page)
    except KdCacheError as error:
        sys.exit(f"Error: {error}")


def write_page(results: Path, page: Path) -> None:
    """Fill the places of `page` from `results`; pictures go to the folder `pictures` beside it.

    Raises:
        ConfigError: the page has a place that nothing belongs to, or lacks one.
        RunError: a finished run cannot be read.
        StoreError: a store is damaged.
    """
    comparisons = read_comparisons(results)
    pictures = page.parent / "pictures"
    blocks = {
        **_tables(results, comparisons),
        **{f"{name} picture": _picture(pictures / f"results-{name}.svg", draw, page)
           for name, draw in _drawings(comparisons).items()},
    }  # fmt: skip
    write_whole(page, filled(page.read_text("utf-8"), blocks).encode())


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """The page with every place filled by the block of its name, and every other letter as it was.

    Raises:
        ConfigError: places and blocks are not the same.
    """
    places = [name for _, name, _ in PLACE.findall(page)]
    if sorted(places) != sorted(blocks):
        odd = sorted(set(places) ^ set(blocks)) or "one name twice"
        raise ConfigError(
            f"The page's places and this script's tables are not the same: {odd}. Mend the page's markers."
        )
    return PLACE.sub(lambda found: f"{found[1]}{blocks[found[2]]}\n{found[3]}", page)


def _tables(results: Path, comparisons: Mapping[str, Comparison]) -> dict[str, str]:
    live, cached = _same(comparisons)
    parts = dict.fromkeys(part for part, _ in commands_as_run())
    return {
        "commands": results_tables.commands(part for part in parts if part != "published"),
        "runs": results_tables.runs(comparisons.values()),
        "teacher": results_tables.teacher(results),
        "stores": results_tables.stores(results),
        "same accuracy": results_tables.same_accuracy(live, cached),
        "same loss": results_tables.same_loss(_compared(comparisons)),
        "methods": results_tables.methods(comparisons["methods"]),
        "views": results_tables.views(comparisons["views"]),
        "longer": results_tables.methods(comparisons["longer"]),
        "published commands": results_tables.commands(["published"]),
        "published": results_tables.published(comparisons["published"]),
    }


def _drawings(comparisons: Mapping[str, Comparison]) -> dict[str, Callable[[], str] | None]:
    """What draws each picture; None where there is nothing to compare yet."""
    live, cached = _same(comparisons)
    sides, compared = _of_common_seeds({"live teacher": live, **cached}), _compared(comparisons)
    methods = comparisons["methods"]
    return {
        "same": (lambda: results_pictures.same(sides, compared)) if any(compared.values()) else None,
        "methods": (lambda: results_pictures.methods(methods)) if methods.records else None,
    }


def _same(comparisons: Mapping[str, Comparison]) -> tuple[list[Record], dict[str, list[Record]]]:
    """Runs with the live teacher, and from the store of each codec."""
    cached = {f"cached, {codec}": comparisons[f"same-{codec}"].of(teacher="cached") for codec in CODECS}
    return comparisons["same-float32"].of(teacher="live"), cached


def _of_common_seeds(sides: Mapping[str, list[Record]]) -> dict[str, list[Record]]:
    """The runs of those seeds that every side with runs has: means over other seeds would look like a difference."""
    seeds = [{record.seed for record in records} for records in sides.values() if records]
    common = set.intersection(*seeds) if seeds else set()
    return {label: [record for record in records if record.seed in common] for label, records in sides.items()}


def _compared(comparisons: Mapping[str, Comparison]) -> dict[str, dict[int, Apart]]:
    """How far the runs from each store are from those with the live teacher."""
    live = comparisons["same-float32"]
    return {f"cached, {codec}": apart(comparisons[f"same-{codec}"], live) for codec in CODECS}


def _picture(path: Path, draw: Callable[[], str] | None, page: Path) -> str:
    """Draw to `path`; the Markdown that shows it. A picture of runs that are no longer there goes."""
    if draw is None:
        path.unlink(missing_ok=True)
        return f"*{NOT_RUN.capitalize()}.*"
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = draw()
    write_whole(path, svg.encode())
    title = svg.partition('aria-label="')[2].partition('"')[0]
    return f"![{title}]({path.relative_to(page.parent)})"


if __name__ == "__main__":
    main()
