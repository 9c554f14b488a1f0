"""`kdcache gc`: delete dumps and uploads that nobody finished."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cache_kd.cli.options import PLACE, json_option

if TYPE_CHECKING:
    from cache_kd.errors import StoreError
    from cache_kd.store.removal import Remains

DAY = 86_400  # seconds
UNITS = {"m": 60, "h": 3_600, "d": DAY, "w": 7 * DAY}


class Age(click.ParamType):
    """A number and a unit, such as 7d, in seconds."""

    name = "age"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        words = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", str(value))
        if words is None:
            self.fail(f"{value!r} is no age; write a number and m, h, d or w, for example 12h or 7d.", param, ctx)
        return float(words[1]) * UNITS[words[2]]


@click.command()
@click.argument("root", type=PLACE)
@click.option(
    "--older-than", type=Age(), default="7d", show_default=True, help="Since anything was last written: 12h, 7d, 2w."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@json_option
def gc(root: Path | str, older_than: float, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete the dumps below ROOT that began, never finished and rest.

    Finished stores and dumps that are at work are left alone; stores that are damaged beyond reading are named, and
    left to you. A finished store that is growing, or whose growth was interrupted, is kept. So is a dump that somebody
    goes on with until you answer; it is named, and the exit code is 1.

    Of a bucket these are the uploads that were not finished; what a store there has in use stays.

    \b
    Examples:
      kdcache gc stores --older-than 14d --dry-run
      kdcache gc s3://team/stores
    """
    from cache_kd.bucket.removal import abandoned_remote, unclear_uploads
    from cache_kd.cli.console import print_json, size
    from cache_kd.store.catalog import unusable
    from cache_kd.store.removal import abandoned

    found: Sequence[Remains]
    if isinstance(root, str):
        found = abandoned_remote(root, older_than=older_than)
    else:
        found = abandoned(root, older_than=older_than)
    for remains in found:
        share = _share(remains)
        rests = f"last written {remains.idle / DAY:.1f} days ago"
        click.echo(f"{remains.path}  {share}, {size(remains.bytes)}, {rests}", err=True)
    lost = unclear_uploads(root) if isinstance(root, str) else unusable(root)
    for entry in lost:
        click.echo(f"{entry.path}  stays, {size(entry.bytes)}, damaged: {entry.fault}", err=True)
    if found and not dry_run and not yes:
        click.confirm(f"Delete these {len(found)} unfinished dump(s)?", abort=True, err=True)
    removed, skipped = ([], []) if dry_run else _remove_each(found, older_than)
    for fault in skipped:
        click.echo(f"Skipped: {fault}", err=True)
    if as_json:
        paths = [str(remains.path) for remains in found]
        damaged = [str(entry.path) for entry in lost]
        total = sum(one.bytes for one in found)
        left = [str(fault) for fault in skipped]
        print_json({"found": paths, "bytes": total, "removed": bool(removed), "skipped": left, "damaged": damaged})
    elif not found:
        click.echo(f"No abandoned dumps below {root}.")
    elif dry_run:
        click.echo(f"{len(found)} abandoned dump(s), {size(sum(one.bytes for one in found))}; nothing was deleted.")
    else:
        click.echo(f"Deleted {len(removed)} abandoned dump(s), {size(sum(one.bytes for one in removed))}.")
    if skipped:
        sys.exit(1)


def _remove_each(found: "Sequence[Remains]", older_than: float) -> "tuple[list[Remains], list[StoreError]]":
    """What was deleted of `found`, and why each of the others was not."""
    from cache_kd.bucket.removal import RemoteRemains, remove_upload
    from cache_kd.errors import StoreError
    from cache_kd.store.removal import remove_abandoned

    removed: list[Remains] = []
    skipped = []
    for remains in found:
        try:
            if isinstance(remains, RemoteRemains):
                removed.append(remove_upload(remains))
            else:
                removed.append(remove_abandoned(remains, older_than=older_than))
        except StoreError as fault:
            skipped.append(fault)
    return removed, skipped


def _share(remains: "Remains") -> str:
    """How far the dump or the upload came."""
    if isinstance(remains.path, str):
        return "upload not finished"
    return f"{100 * remains.written:.0f} % written" if remains.store_id else "only begun"
