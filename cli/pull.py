"""`kdcache pull`: a store out of a bucket."""

from pathlib import Path

import click

from cache_kd.cli.options import LOCAL, URL, json_option


@click.command()
@click.argument("url", type=URL)
@click.argument("path", metavar="STORE", type=LOCAL)
@json_option
def pull(url: str, path: Path, as_json: bool) -> None:
    """Copy the store at URL (s3://, gs://, az:// or file:///) to the folder STORE, or bring that copy up to date.

    Every file is compared with its checksum. Safe to interrupt and to repeat: only what is lacking is fetched.
    train, compare, look, verify, export and merge take a URL themselves and keep a copy in the cache folder.

    \b
    Example:
      kdcache pull s3://team/stores/resnet20 stores/resnet20
    """
    from cache_kd.bucket.pull import pull as run
    from cache_kd.cli.console import Terminal, print_json, size

    result = run(url, path, Terminal())
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.files:,} files, {size(result.bytes)}" if result.files else "already there"
    click.echo(f"{result.store}  {result.store_id}  {result.views} views  ({done})")
