"""`kdcache import`: a store from the HDF5 file of another."""

from pathlib import Path

import click

from cache_kd.cli.options import json_option


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the store to write.")
@json_option
def import_(file: Path, store: Path, as_json: bool) -> None:
    """Make the store that FILE was exported from again, byte for byte. Repeat it if it is interrupted.

    \b
    Example:
      kdcache import resnet20.h5 --store stores/resnet20
    """
    from cache_kd.cli.console import Terminal, print_json
    from cache_kd.exchange.import_store import import_store

    result = import_store(file, store, Terminal())
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.written_rows:,} rows in {result.seconds:.1f} s" if result.written_rows else "already there"
    click.echo(f"{result.store}  {result.store_id}  {result.views} views x {result.samples:,}  ({done})")
