"""`kdcache import`: a store from the HDF5 file of another, or from logits that were made elsewhere."""

from pathlib import Path
from typing import Any

import click

from cache_kd.cli.options import (
    LOCAL,
    data_option,
    decode_options,
    json_option,
    normalise_option,
    overrides,
    root_option,
    workers_option,
)

ALWAYS = ("data", "teacher", "normalise")
NEEDED = {"torch": ALWAYS, "npy": ALWAYS, "fkd": (*ALWAYS, "temperature")}

OF_FKD, OF_TENSORS = ("temperature", "views", "size"), ("recipe", "seed")
UNFIT = {"torch": OF_FKD, "npy": OF_FKD, "fkd": OF_TENSORS}
WHY_UNFIT = {
    **dict.fromkeys(OF_FKD, "FILE holds raw logits of all its views, and --recipe makes them"),
    **dict.fromkeys(OF_TENSORS, "its files say where every crop is"),
}


@click.command("import")
@click.argument("file", type=LOCAL)
@click.option("--store", type=LOCAL, required=True, help="Folder of the store to write.")
@click.option(
    "--from",
    "kind",
    type=click.Choice(["torch", "npy", "fkd"]),
    default=None,
    help="FILE is one tensor or array of logits, [samples, classes] or [views, samples, classes]; or the folder of "
    "FKD's soft labels.",
)
@data_option
@root_option
@decode_options()
@click.option("--teacher", default=None, help="With --from: the model that made them, for kdcache verify.")
@normalise_option
@click.option("--recipe", default=None, help="Of torch and npy: how the teacher's views were made.  [default: none]")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Of torch and npy: of the views.  [default: 0]")
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Of fkd: its --temp, which its files do not say; 1 where it was not given.",
)
@click.option(
    "--views", type=click.IntRange(min=1), default=None, help="Of fkd: the first crops of each image.  [default: all]"
)
@click.option(
    "--size", type=click.IntRange(min=1), default=None, help="Of fkd: side of the views, pixels.  [default: 224]"
)
@click.option("--codec", default=None, help="With --from: how logits are kept.  [default: float16]")
@workers_option
@json_option
def import_(file: Path, store: Path, kind: str | None, as_json: bool, **options: Any) -> None:
    """Make the store that FILE was exported from again, byte for byte. Repeat it if it is interrupted.

    With --from torch or npy, FILE holds logits of your own: row i is sample i of the training images of --data. With
    --from fkd it is a folder of FKD's soft labels, one file for each image file of --data, and the views are the crops
    in them. The store says that nobody can prove which pixels their teacher saw.

    \b
    Examples:
      kdcache import resnet20.h5 --store stores/resnet20
      kdcache import logits.npy --from npy --data cifar100.h5 --teacher resnet20 --normalise cifar100 \\
        --store stores/mine
      kdcache import FKD_soft_labels/imagenet --from fkd --temperature 1 --views 4 --data /data/imagenet \\
        --teacher timm:tf_efficientnet_l2.ns_jft_in1k_475 --normalise imagenet --store stores/fkd
    """
    given = {name: value for name, value in options.items() if value is not None}
    if kind is None and given:
        raise click.UsageError(
            f"Option '--{next(iter(given)).partition('__')[0]}' says what only --from asks for: an export knows it."
        )
    for name in NEEDED.get(kind or "", ()):
        if name not in given:
            raise click.UsageError(f"Missing option '--{name}'.")
    for name in UNFIT.get(kind or "", ()):
        if name in given:
            raise click.UsageError(f"Option '--{name}' is not for --from {kind}: {WHY_UNFIT[name]}.")
    from cache_kd.cli.console import Terminal, print_json

    if kind is None:
        from cache_kd.exchange.import_store import import_store

        result = import_store(file, store, Terminal())
    elif kind == "fkd":
        from cache_kd.config import load
        from cache_kd.foreign_fkd import FkdConfig, import_fkd

        knobs = overrides((), logits=file, store=store, **given)
        result = import_fkd(load(FkdConfig, overrides=knobs), Terminal())
    else:
        from cache_kd.config import load
        from cache_kd.foreign import ForeignConfig, import_logits

        knobs = overrides((), logits=file, kind=kind, store=store, **given)
        result = import_logits(load(ForeignConfig, overrides=knobs), Terminal())
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.written_rows:,} rows in {result.seconds:.1f} s" if result.written_rows else "already there"
    click.echo(f"{result.store}  {result.store_id}  {result.views} views x {result.samples:,}  ({done})")
