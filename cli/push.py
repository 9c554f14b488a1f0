"""`kdcache push`: a finished store into a bucket."""

from pathlib import Path

import click

from cache_kd.cli.options import LOCAL, URL, json_option


@click.command()
@click.argument("path", metavar="STORE", type=LOCAL)
@click.argument("url", type=URL)
@json_option
def push(path: Path, url: str, as_json: bool) -> None:
    """Copy the finished store at STORE to URL: s3://, gs://, az:// or file:///.

    Nobody there sees a part of it: the manifest is written last. Views are added to a store that is there. Safe to
    interrupt and to repeat. Needs pip install 'cache_kd[bucket]'; credentials come from the environment.

    \b
    Example:
      kdcache push stores/resnet20 s3://team/stores/resnet20
    """
    from cache_kd.bucket.push import push as run
    from cache_kd.cli.console import Terminal, print_json, size

    terminal = Terminal()
    result = run(path, url, terminal)
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.files:,} files, {size(result.bytes)}" if result.files else "already there"
    click.echo(f"{result.url}  {result.store_id}  {result.views} views  ({done})")
    terminal.say(f"Train from it anywhere: kdcache train --store {result.url} --student resnet8 --method kd")
