"""`kdcache rm`: delete a store, here or in a bucket."""

from pathlib import Path

import click

from cache_kd.cli.options import PLACE, json_option


@click.command()
@click.argument("path", type=PLACE)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force",
    is_flag=True,
    help="Also while processes read it; they will stop with an error. In a bucket: nobody can tell who does.",
)
@json_option
def rm(path: Path | str, yes: bool, force: bool, as_json: bool) -> None:
    """Delete the store at PATH: its own files, and no other.

    Refuses while a dump writes to it or a process reads it. Who reads a store in a bucket cannot be seen: --force.

    \b
    Examples:
      kdcache rm stores/resnet20 --yes
      kdcache rm s3://team/stores/resnet20 --force
    """
    from cache_kd.bucket.removal import remove_remote, survey_remote
    from cache_kd.cli.console import print_json, size
    from cache_kd.store.removal import remove, survey

    remains = survey_remote(path, force=force) if isinstance(path, str) else survey(path)
    what = f"{path} ({remains.store_id or 'a dump that only began'}, {len(remains.files)} files, {size(remains.bytes)})"
    if not yes:
        click.confirm(f"Delete {what}?", abort=True, err=True)
    removed = remove_remote(path, force=force) if isinstance(path, str) else remove(path, force=force)
    if as_json:
        print_json({"path": str(path), "bytes": removed.bytes, "files": len(removed.files), "left": removed.foreign})
        return
    click.echo(f"Deleted {what}.")
    if removed.foreign:
        named = ", ".join(removed.foreign[:3]) + (", ..." if len(removed.foreign) > 3 else "")
        click.echo(f"Left alone, for they are none of the store's: {named}", err=True)
