"""`kdcache ls`: the stores below one folder, or in a bucket."""

from pathlib import Path

import click

from cache_kd.cli.options import PLACE, json_option


@click.command()
@click.argument("root", type=PLACE, default=Path("."))
@click.option("--teacher", default=None, help="Only those with this in the teacher's name.")
@click.option("--data", default=None, help="Only those with this in the name of their images.")
@click.option("--recipe", default=None, help="Only those with this in their recipe.")
@click.option("--codec", default=None, help="Only those with this in their codec's name.")
@click.option("--complete/--partial", default=None, help="Only finished stores, or only the others.")
@json_option
def ls(root: Path | str, as_json: bool, **filters: str | bool | None) -> None:
    """List the stores below ROOT, a folder or s3://, gs://, az:// or file:///.

    \b
    Examples:
      kdcache ls stores --teacher resnet --complete
      kdcache ls s3://team/stores
    """
    from cache_kd.bucket.listing import stores_at
    from cache_kd.cli.console import print_json, print_table, size
    from cache_kd.config import build
    from cache_kd.store.catalog import Filter

    wanted = build(Filter, filters)
    found = [entry for entry in stores_at(root) if wanted.admits(entry)]
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in found])
        return
    if not found:
        click.echo(f"No {'such ' if wanted != Filter() else ''}stores below {root}.")
        return
    rows = []
    for entry in found:
        if entry.manifest is None:
            rows.append((str(entry.path), "", "", "", "", "", entry.fault or ""))
            continue
        manifest = entry.manifest
        train = manifest.parts["train"]
        state = "complete" if entry.complete == 1 else f"{100 * entry.complete:.0f} %"
        rows.append((
            str(entry.path), manifest.store_id, manifest.teacher.name, str(manifest.recipe["name"]),
            f"{train.views} x {train.samples:,}", size(entry.bytes), state,
        ))  # fmt: skip
    print_table("", ("path", "id", "teacher", "recipe", "views", "size", "state"), rows, right=("views", "size"))
