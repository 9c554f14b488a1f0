"""`kdcache export-student`: a finished run's student as weights and ONNX that say where they come from."""

from pathlib import Path
from typing import Any

import click

from cache_kd.cli.options import LOCAL, json_option, overrides


@click.command("export-student")
@click.argument("run", type=LOCAL)
@click.option("--out", type=LOCAL, required=True, help="The weights: a .safetensors file.")
@click.option("--onnx", type=LOCAL, help="The model too: an .onnx file; needs cache_kd[onnx].")
@click.option(
    "--onnx-input",
    type=click.Choice(["pixels", "normalised"]),
    default=None,
    help="pixels: uint8 [batch, height, width, channels], normalised inside; normalised: float32 [batch, channels, "
    "height, width].  [default: pixels]",
)
@click.option(
    "--weights",
    type=click.Choice(["last", "ema"]),
    default=None,
    help="After the last epoch, or their running average (train --set ema_decay=0.999).  [default: last]",
)
@click.option(
    "--size", type=click.IntRange(min=1), help="Height and width for ONNX.  [default: of the training's views]"
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option(
    "--trust",
    multiple=True,
    metavar="PACKAGE.MODULE:FUNCTION",
    help="Import this function, which the run names as its model.",
)
@json_option
def export_student(run: Path, out: Path, trust: tuple[str, ...], force: bool, as_json: bool, **options: Any) -> None:
    """Write the student of the finished run RUN to files that need no store and say where they come from.

    The weights are a checkpoint: kdcache dump --teacher MODEL --checkpoint OUT makes the student a teacher.

    \b
    Example:
      kdcache export-student runs/resnet8-kd-s0 --out student.safetensors --onnx student.onnx
    """
    from cache_kd.cli.console import print_json, size
    from cache_kd.config import load
    from cache_kd.export_student import ExportStudentConfig
    from cache_kd.export_student import export_student as export

    given = overrides((), run=run, out=out, trust=trust, force=force, **options)
    result = export(load(ExportStudentConfig, None, given))
    if as_json:
        print_json(result.model_dump())
        return
    about = result.provenance
    accuracy = "" if about.accuracy is None else f"  accuracy {100 * about.accuracy:.2f} %"
    click.echo(f"{result.out}  {about.model}  {about.method or 'ce'}{accuracy}  {size(result.bytes)}")
    if result.onnx and result.onnx_bytes:
        click.echo(
            f"{result.onnx}  opset {result.opset}  {size(result.onnx_bytes)}  "
            f"onnxruntime within {result.onnx_difference:.1g} of torch"
        )
