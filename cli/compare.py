"""`kdcache compare`: a grid of runs, side by side in one table and one page."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cache_kd.cli.options import LOCAL, PLACE, config_options, json_option, on_this_machine, overrides, require

if TYPE_CHECKING:
    from cache_kd.compare import Comparison
    from cache_kd.comparison.pool import Watch


@click.command()
@click.option(
    "--store",
    type=PLACE,
    multiple=True,
    help="What kdcache dump wrote. Several: every run with each of them (kdcache merge makes one of several).",
)
@click.option("--student", multiple=True, help="Model to train (kdcache models). Several: each of them.")
@click.option("--methods", default=None, metavar="NAME,NAME", help="ce, kd, dkd+normkd, ... (kdcache methods).")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUE,VALUE",
    help="A knob of a method (kd.tau=2,4) or any key of kdcache train (views=1,4,16). Repeatable.",
)
@click.option("--seeds", default=None, metavar="N", help="So many, from 0; or a list: 3,5,7.  [default: 3]")
@click.option(
    "--live",
    is_flag=False,
    flag_value="all",
    default=None,
    metavar="[NAME,NAME]",
    help="Train these methods, or all that ask a teacher, with the live teacher too: what the store saves.",
)
@click.option("--epochs", "run__epochs", type=click.IntRange(min=1), default=None, help="[default: 10]")
@click.option("--batch-size", "run__batch_size", type=click.IntRange(min=1), default=None, help="[default: 128]")
@click.option(
    "--device", "run__device", metavar="auto|cpu|cuda|mps", default=None, help="Where the runs are.  [default: auto]"
)
@click.option("--preset", default=None, help="A recipe of the literature: cifar100, imagenet, quick (kdcache presets).")
@click.option("--out", type=LOCAL, default=None, help="Folder of the runs and of the report.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=None, help="Runs at a time.  [default: one for each GPU, else 1]"
)
@config_options
@json_option
def compare(
    config_file: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
    methods: str | None,
    vary: tuple[str, ...],
    seeds: str | None,
    live: str | None,
    **options: Any,
) -> None:
    """Train every method with every student, store, varied value and seed, and compare.

    In --out then lie a run folder for each (runs/), table.csv, runs.csv, table.tex and report.html. Interrupt it at
    any moment: the same command goes on where it was, what is finished costs nothing, and a larger grid adds runs.
    --set reaches every knob of kdcache train, for all runs.

    \b
    Examples:
      kdcache compare --store stores/resnet20 --student resnet8 --methods ce,kd,rld,dkd+normkd --epochs 30 --out cmp
      kdcache compare --store stores/resnet20 --student resnet8 --methods kd --vary kd.tau=2,4,8 --out taus
      kdcache compare --store stores/resnet20 --student resnet8 --methods kd --vary views=1,4,16 --live --out views
    """
    from cache_kd.cli.console import Terminal, print_json, print_table
    from cache_kd.compare import compare as run
    from cache_kd.comparison.grid import CompareConfig
    from cache_kd.comparison.table import FIGURES, NOTE, cells_of_row, headings
    from cache_kd.config import load

    require(
        config_file,
        (),
        store=options["store"] or None,
        student=options["student"] or None,
        methods=methods,
        out=options["out"],
    )
    terminal = Terminal()
    options["store"] = tuple(on_this_machine(place, terminal) for place in options["store"])
    given = overrides(tuple(f"run.{pair}" for pair in assignments), **{k: v for k, v in options.items() if v != ()})
    listed = None if methods is None else [name.strip() for name in methods.split(",")]
    if listed is not None:
        given["methods"] = listed
    if vary:
        given["vary"] = dict(map(_varied, vary))
    if seeds is not None:
        given["seeds"] = _seeds(seeds)
    config = load(CompareConfig, config_file, given)
    if live is not None:
        named = config.methods if live == "all" else tuple(name.strip() for name in live.split(","))
        config = config.model_copy(update={"live": named})
    with _board() as (progress, watch):
        result = run(config, progress=progress, watch=watch)
    if as_json:
        print_json(_plain(result))
    elif result.rows:
        columns = headings(result.rows)
        numbers = ("n", *(figure.title for figure in FIGURES))
        print_table("", columns, [cells_of_row(row, result.rows) for row in result.rows], right=numbers)
        click.echo(NOTE)
        for account in result.accounts:
            click.echo(str(account))
        click.echo("  ".join(map(str, result.files)))
    for name, why in result.failed.items():
        click.echo(f"{name} failed: {why}", err=True)
    if result.failed:
        click.echo(f"{len(result.failed)} run(s) failed; run the same command again to try them again.", err=True)
        sys.exit(1)


def _varied(text: str) -> tuple[str, list[Any]]:
    """`kd.tau=2,4` or `kd.tau=[2, 4]` as a key and its values."""
    from cache_kd.config import parse_value

    key, equals, values = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--vary {text!r} has no '='; write --vary key=value,value, for example kd.tau=2,4.")
    parsed = parse_value(values)
    return key.strip(), parsed if isinstance(parsed, list) else [parse_value(value) for value in values.split(",")]


def _seeds(text: str) -> list[int]:
    """`3` is 0, 1, 2; `3,5` is 3 and 5; `3,` is 3."""
    try:
        if "," not in text:
            return list(range(int(text)))
        return [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise click.UsageError(f"--seeds {text!r} is neither a number nor a list; write 3, or 0,1,2.") from None


def _plain(result: "Comparison") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "rows": [asdict(row) for row in result.rows],
        "failed": result.failed,
        "files": [str(path) for path in result.files],
    }


@contextmanager
def _board() -> "Iterator[tuple[Any, Watch]]":
    """Who watches: a table that moves at a terminal, a line for each run that ended elsewhere."""
    from cache_kd.cli.board import Board
    from cache_kd.cli.console import Terminal

    terminal = Terminal()
    with Board(terminal) as board:
        yield terminal, board.show
