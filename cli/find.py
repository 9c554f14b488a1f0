"""`kdcache find`: the stores that already hold what a dump would write."""

from pathlib import Path
from typing import Any

import click

from cache_kd.cli.options import (
    PLACE,
    checkpoint_option,
    data_option,
    decode_options,
    json_option,
    normalise_option,
    overrides,
    precision_option,
    root_option,
)


@click.command()
@click.argument("folder", metavar="ROOT", type=PLACE)
@data_option
@root_option
@decode_options()
@click.option("--teacher", default=None, help="Model of the weights; any without it.")
@checkpoint_option
@normalise_option
@precision_option
@click.option("--recipe", default=None, help="How views are made; any without it.")
@click.option("--views", type=click.IntRange(min=1), default=None, help="At least so many.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Of the views; any without it.")
@click.option("--codec", default=None, help="How logits are kept; any without it.")
@json_option
def find(folder: Path | str, as_json: bool, **options: Any) -> None:
    """Print the finished stores below ROOT that a dump with these options would find complete.

    ROOT is a folder or s3://, gs://, az:// or file:///, of which only names and manifests are read.

    Images and weights are compared by content, so they may have moved. With --checkpoint and without --normalise, what
    the weights say of themselves is meant, else what is usual for the data, as kdcache dump takes it. Exits with 1
    where there is none.

    \b
    Examples:
      kdcache find stores --data cifar100.h5 --teacher resnet20 --recipe cifar --views 4
      kdcache find s3://team/stores --teacher resnet20
    """
    from cache_kd.cli.console import print_json
    from cache_kd.config import load
    from cache_kd.lookup import Wanted, find_stores

    found = find_stores(folder, load(Wanted, None, overrides((), **options)))
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in found])
    else:
        for entry in found:
            click.echo(entry.path)
    if not found:
        click.echo(
            f"No store below {folder} would serve such a dump; kdcache ls {folder} lists what is there.", err=True
        )
        raise click.exceptions.Exit(1)
