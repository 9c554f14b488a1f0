"""`kdcache verify`: ask the teacher again about random rows of a store."""

from dataclasses import asdict
from pathlib import Path

import click

from cache_kd.cli.options import (
    PLACE,
    checkpoint_option,
    data_option,
    device_option,
    json_option,
    on_this_machine,
    root_option,
    trust_option,
)


@click.command()
@click.argument("path", type=PLACE)
@click.option("--rows", type=click.IntRange(min=1), default=256, show_default=True, help="Random rows to recompute.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which rows.")
@click.option("--deep", is_flag=True, help="Also compare the checksum of every file.")
@data_option
@root_option
@checkpoint_option
@trust_option
@device_option
@json_option
def verify(
    path: Path | str,
    rows: int,
    seed: int,
    deep: bool,
    data: str | None,
    root: str | None,
    checkpoint: Path | None,
    trust: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> None:
    """Ask the teacher again about random rows of a store.

    Renders the rows and the witnesses, runs the teacher on the rows and compares with what is stored at PATH.
    Exits with 1 where a row differs by more than the codec's stated error and the rounding of a rerun. Of an ensemble,
    and of imported logits without --checkpoint, there is no teacher to ask: files and pixels are checked.

    \b
    Example:
      kdcache verify stores/resnet20 --rows 512 --deep
    """
    from cache_kd.cli.console import Terminal, print_json
    from cache_kd.verify import verify as run

    terminal = Terminal()
    path = on_this_machine(path, terminal)
    result = run(
        path,
        rows=rows,
        seed=seed,
        deep=deep,
        data=data,
        root=root,
        checkpoint=checkpoint,
        device=device or "auto",
        trust=trust,
        progress=terminal,
    )
    if as_json:
        witnesses = result.witnesses.to_json() if result.witnesses else None
        print_json({**asdict(result), "witnesses": witnesses, "holds": result.holds})
    else:
        click.echo(_words(path, result))
    if not result.holds:
        raise click.exceptions.Exit(1)


def _words(path: Path, result: object) -> str:
    from cache_kd.verify import Verification

    assert isinstance(result, Verification)
    if result.holds and result.unasked is not None:
        checked = "size and checksum of every file" if result.deep else "size of every file (--deep: also checksums)"
        return (
            f"{path} holds as far as it can be checked: {checked}, the pixels of {result.rows} random rows by their "
            f"digests, {result.witnesses}.\nNot checked: the logits of these rows, for {result.unasked}."
        )
    if result.holds:
        return (
            f"{path} holds: {result.rows} random rows, largest difference {result.largest_difference:.2e} "
            f"(within the codec's stated error), every pixel digest equal, {result.witnesses}."
        )
    if result.faults:
        lines = "\n".join(f"  {fault}" for fault in result.faults)
        return "\n".join([f"{path} does NOT hold:", lines, *(f"  {mend}" for mend in result.mends)])
    lines = []
    if result.witnesses is not None and result.witnesses.kind != "exact":
        lines.append(f"Pixels: {result.witnesses.kind}, {result.witnesses}")
    elif not result.pixels_equal:
        lines.append("Pixels: every witness is equal, other rows are not; some images or the recipe's code changed.")
    if result.worst is not None and result.largest_excess is not None and result.largest_excess > 0:
        part, sample, view = result.worst
        lines.append(
            f"{part} sample {sample}, view {view}: stored logits are {result.largest_difference:.3g} from "
            f"the teacher's, {result.largest_excess:.3g} more than the codec and rounding allow."
        )
    if result.witnesses is not None and result.witnesses.kind == "drift":
        mend = (
            "Pixels here are a rounding away from the dump's: training here warns and goes on. "
            "To compare exactly, verify with the versions of the dump."
        )
    else:
        mend = "Dump it again before training from it."
    return "\n".join([f"{path} does NOT hold:", *(f"  {line}" for line in (*lines, mend))])
