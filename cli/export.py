"""`kdcache export`: a store as one HDF5 file."""

from pathlib import Path

import click

from cache_kd.cli.options import LOCAL, PLACE, json_option, on_this_machine


@click.command()
@click.argument("path", type=PLACE)
@click.argument("out", type=LOCAL)
@click.option(
    "--compression",
    type=click.Choice(["gzip", "lzf", "none"]),
    default="gzip",
    show_default=True,
    help="Of the chunks; every HDF5 reads gzip, none is fastest.",
)
@click.option("--force", is_flag=True, help="Replace OUT where it is there.")
@json_option
def export(path: Path | str, out: Path, compression: str, force: bool, as_json: bool) -> None:
    """Write the finished store at PATH to the HDF5 file OUT, to send it or to read it elsewhere.

    \b
    Example:
      kdcache export stores/resnet20 resnet20.h5
    """
    from cache_kd.cli.console import Terminal, print_json, size
    from cache_kd.exchange.export import Compression, export_store

    terminal = Terminal()
    chosen: Compression = compression  # type: ignore[assignment]  # click gives one of the three
    result = export_store(on_this_machine(path, terminal), out, compression=chosen, force=force, progress=terminal)
    if as_json:
        print_json(result.model_dump())
        return
    click.echo(
        f"{result.file}  {result.store_id}  {result.rows:,} rows  {size(result.bytes)}  ({result.seconds:.1f} s)"
    )
    terminal.say(f"Make it a store again: kdcache import {result.file} --store PATH")
