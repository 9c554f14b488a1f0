"""`kdcache demo`: the main job on embedded images, in about two minutes."""

from pathlib import Path

import click

from cache_kd.cli.options import LOCAL, device_option, json_option


@click.command()
@click.option("--out", type=LOCAL, default=Path("kdcache-demo"), show_default=True, help="Folder to write.")
@device_option
@json_option
def demo(out: Path, device: str | None, as_json: bool) -> None:
    """Show the whole job on embedded images, in two minutes.

    Trains a teacher, dumps its logits once, trains seven students from them; one table, one page.

    A second run finds the store and the runs: neither teacher nor students run again.

    \b
    Example:
      kdcache demo --out /tmp/kdcache-demo
    """
    from cache_kd.cli.console import Terminal, print_json, print_table, size
    from cache_kd.demo import COLUMNS, DemoConfig
    from cache_kd.demo import demo as run

    result = run(DemoConfig(out=out, device=device or "auto"), Terminal())
    if as_json:
        print_json(result.model_dump())
        return
    print_table("", COLUMNS, result.rows, right=COLUMNS[1:])
    ran = "the teacher ran once, for the dump" if result.teacher_ran else "found, so the teacher did not run again"
    click.echo(f"Store     {result.store}, {size(result.store_bytes)}: {ran}.")
    live, cached = result.live_seconds_per_epoch, result.cached_seconds_per_epoch
    click.echo(
        f"Teacher   in the loop {live:.2f} s per epoch, from the cache {cached:.2f} s: {live / cached:.2f} times."
    )
    click.echo(f"Page      {result.report}")
