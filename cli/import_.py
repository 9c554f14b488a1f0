"""`kdcache import`: a store from the HDF5 file of another, or from logits that were made elsewhere."""

from pathlib import Path
from typing import Any

import click

from cache_kd.cli.options import (
    data_option,
    decode_options,
    json_option,
    normalise_option,
    overrides,
    root_option,
    workers_option,
)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the store to write.")
@click.option(
    "--from",
    "kind",
    type=click.Choice(["torch", "npy"]),
    default=None,
    help="FILE is one tensor or array of logits, [samples, classes] or [views, samples, classes].",
)
@data_option
@root_option
@decode_options()
@click.option("--teacher", default=None, help="With --from: the model that made them, for kdcache verify.")
@normalise_option
@click.option("--recipe", default=None, help="With --from: how the teacher's views were made.  [default: none]")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="With --from: of the views.  [default: 0]")
@click.option("--codec", default=None, help="With --from: how logits are kept.  [default: float16]")
@workers_option
@json_option
def import_(file: Path, store: Path, kind: str | None, as_json: bool, **options: Any) -> None:
    """Make the store that FILE was exported from again, byte for byte. Repeat it if it is interrupted.

    With --from, FILE holds logits of your own: row i is sample i of the training images of --data. The store says that
    nobody can prove which pixels their teacher saw.

    \b
    Example:
      kdcache import resnet20.h5 --store stores/resnet20
      kdcache import logits.npy --from npy --data cifar100.h5 --teacher resnet20 --normalise cifar100 \\
        --store stores/mine
    """
    given = {name: value for name, value in options.items() if value is not None}
    if kind is None and given:
        raise click.UsageError(
            f"Option '--{next(iter(given)).partition('__')[0]}' says what only --from asks for: an export knows it."
        )
    for name in ("data", "teacher", "normalise") if kind else ():
        if name not in given:
            raise click.UsageError(f"Missing option '--{name}'.")
    from cache_kd.cli.console import Terminal, print_json

    if kind is None:
        from cache_kd.exchange.import_store import import_store

        result = import_store(file, store, Terminal())
    else:
        from cache_kd.config import load
        from cache_kd.foreign import ForeignConfig, import_logits

        knobs = overrides((), logits=file, kind=kind, store=store, **given)
        result = import_logits(load(ForeignConfig, overrides=knobs), Terminal())
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.written_rows:,} rows in {result.seconds:.1f} s" if result.written_rows else "already there"
    click.echo(f"{result.store}  {result.store_id}  {result.views} views x {result.samples:,}  ({done})")
