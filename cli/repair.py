"""`kdcache repair`: redo what is damaged in a store."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cache_kd.cli.options import (
    LOCAL,
    checkpoint_option,
    data_option,
    device_option,
    json_option,
    root_option,
    trust_option,
    workers_option,
)

if TYPE_CHECKING:
    from cache_kd.repair import Repair


@click.command()
@click.argument("path", type=LOCAL)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--remove-foreign", is_flag=True, help="Delete files in the store that are not of the store.")
@data_option
@root_option
@checkpoint_option
@trust_option
@workers_option
@device_option
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=None, help="Images per forward pass.  [default: the dump's]"
)
@json_option
def repair(
    path: Path,
    dry_run: bool,
    remove_foreign: bool,
    data: str | None,
    root: str | None,
    checkpoint: Path | None,
    trust: tuple[str, ...],
    workers: int | None,
    device: str | None,
    batch_size: int | None,
    as_json: bool,
) -> None:
    """Redo what is missing, torn or flipped in the store at PATH.

    Reads every byte, says what it found, and redoes just that with the teacher and the images of the dump, which
    must render exactly as they did; an ensemble with its members.

    \b
    Example:
      kdcache repair stores/resnet20 --dry-run
    """
    from cache_kd.cli.console import Terminal, print_json
    from cache_kd.repair import repair as run

    result = run(
        path,
        data=data,
        root=root,
        checkpoint=checkpoint,
        device=device or "auto",
        workers=workers,
        batch_size=batch_size,
        trust=trust,
        remove_foreign=remove_foreign,
        dry_run=dry_run,
        progress=Terminal(),
    )
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        click.echo(_words(result))


def _words(result: "Repair") -> str:
    left = _left(result)
    if not (result.metadata or result.pieces or result.removed):
        return f"{result.path} needs no repair{f', but {left}' if left else '.'}"
    if result.dry_run:
        return f"{result.path}: nothing was changed (--dry-run)."
    lines = [f"{result.path} is whole again: {result.rows:,} rows were computed."]
    if result.same:
        lines.append(f"  {len(result.same)} pieces have every byte that they had, as their records say.")
    if result.other:
        lines.append(
            f"  {len(result.other)} have other bytes than their records said: the teacher rounds otherwise on this "
            "device or with this --batch-size, or the record itself was damaged."
        )
    unknown = len(result.pieces) - len(result.same) - len(result.other)
    if unknown:
        lines.append(f"  {unknown} had no readable record to compare with.")
    if left:
        lines.append(f"  But {left}")
    return "\n".join(lines)


def _left(result: "Repair") -> str:
    """What was left alone, as the end of a sentence; empty where nothing was."""
    left = []
    if result.linked:
        left.append(f"{_named(result.linked)} stays, for links make it hold files of the store.")
    if result.foreign and not result.removed:
        left.append(
            f"{len(result.foreign)} file(s) in it are none of the store's and were left alone: "
            f"{_named(result.foreign)}. kdcache verify names them until you delete or move them, or pass "
            "--remove-foreign."
        )
    return " ".join(left)


def _named(files: tuple[str, ...]) -> str:
    return ", ".join(files[:3]) + (", ..." if len(files) > 3 else "")
