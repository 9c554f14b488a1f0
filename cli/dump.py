"""`kdcache dump`: run a teacher once over the views of a data set."""

from pathlib import Path

import click

from cache_kd.cli.options import (
    LOCAL,
    PLACE,
    batch_size_option,
    checkpoint_option,
    config_options,
    data_option,
    decode_options,
    device_option,
    json_option,
    normalise_option,
    overrides,
    precision_option,
    render_option,
    require,
    root_option,
    seed_option,
    views_option,
    workers_option,
)


@click.command()
@data_option
@root_option
@decode_options()
@click.option(
    "--teacher",
    default=None,
    help="Model of the weights: resnet32x4, torchvision:resnet50, timm:NAME, package.module:function (kdcache models).",
)
@checkpoint_option
@normalise_option
@click.option(
    "--recipe",
    default=None,
    help="cifar, rrc+randaugment, cifar+mixup, package.module:function, ... (kdcache recipes)."
    "  [default: the usual one of the data]",
)
@views_option
@click.option(
    "--store", type=LOCAL, default=None, help="Folder to write; an unfinished dump there goes on. A bucket: --catalog."
)
@click.option(
    "--catalog",
    type=PLACE,
    default=None,
    help="Instead of --store: folder or bucket of stores. One that holds this dump is used, else ROOT/TEACHER-ID is "
    "written.",
)
@seed_option
@click.option(
    "--codec",
    default=None,
    help="How logits are kept: float32, float16, bfloat16, uint8, packed, lowrank, topk, feature, or JSON with knobs; "
    "kdcache plan measures them, docs/stores.md describes them."
    "  [default: float16]",
)
@batch_size_option
@click.option(
    "--wait/--no-wait",
    default=None,
    help="For another dump that writes to this store, or stop at once.  [default: wait]",
)
@workers_option
@render_option
@device_option
@precision_option
@config_options
@json_option
def dump(config_file: Path | None, assignments: tuple[str, ...], as_json: bool, **options: object) -> None:
    """Run a teacher once and store its raw logits.

    Over augmented views of every training image, and the plain view of every test image.

    Safe to interrupt and to repeat: finished shards are kept, a finished store costs nothing.

    With --catalog the store is looked for by what decides its numbers, whatever it is called and whoever dumped it.
    In a bucket (s3://, gs://, az://) it is found without a copy; what is lacking is dumped here and uploaded.

    \b
    Examples:
      kdcache dump --data cifar100.h5 --teacher resnet20 --checkpoint runs/teacher/weights.safetensors \\
        --recipe cifar --views 4 --store stores/resnet20
      kdcache dump --data cifar100.h5 --teacher resnet20 --checkpoint runs/teacher/weights.safetensors \\
        --recipe cifar --views 4 --catalog stores
      kdcache dump --data cifar100.h5 --teacher resnet20 --checkpoint runs/teacher/weights.safetensors \\
        --recipe cifar --views 4 --catalog s3://team/stores
    """
    needed = ("data", "teacher", "checkpoint")
    require(config_file, assignments, **{name: options[name] for name in needed})
    from cache_kd.cli.console import Terminal, print_json, size
    from cache_kd.config import load
    from cache_kd.dump import DumpConfig
    from cache_kd.dump import dump as run

    config = load(DumpConfig, config_file, overrides(assignments, **options))
    terminal = Terminal()
    result = run(config, terminal)
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.computed_rows:,} rows in {result.seconds:.1f} s" if result.computed_rows else "already there"
    click.echo(
        f"{result.store}  {result.store_id}  {result.views} views x {result.samples:,}  {size(result.bytes)}  ({done})"
    )
    trust = "".join(f" --trust {name}" for name in result.functions)
    terminal.say(f"Train from it: kdcache train --store {result.store} --student resnet8 --method kd{trust}")
