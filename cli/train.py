"""`kdcache train`: train one student, from a store or without one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cache_kd.cli.options import (
    LOCAL,
    PLACE,
    checkpoint_option,
    config_options,
    data_option,
    decode_options,
    device_option,
    json_option,
    normalise_option,
    on_this_machine,
    overrides,
    render_option,
    require,
    root_option,
    trust_option,
    workers_option,
)

BESIDE_RESUME = ("resume", "store", "data", "root", "workers", "as_json")


@click.command()
@click.option(
    "--store",
    type=PLACE,
    multiple=True,
    help="What kdcache dump wrote; it says data, views and classes. Several: of several teachers over the same views.",
)
@click.option(
    "--student",
    default=None,
    help="Model to train: resnet8, torchvision:resnet18, timm:NAME, package.module:function (kdcache models).",
)
@click.option(
    "--method",
    default=None,
    help="kd, rld, dkd+normkd, ... (kdcache methods), package.module:function; without it, cross-entropy.",
)
@click.option("--refine", default=None, help="A method that lends what it imitates: la corrects the teacher.")
@click.option("--temperature", default=None, help="A method that lends its temperature: normkd, lskd, atkd, dtd, ...")
@click.option(
    "--published",
    type=click.Choice(["cifar", "imagenet"]),
    default=None,
    help="The method's authors' numbers for this data, warm-up included.  [default: the method's knobs, no warm-up]",
)
@click.option(
    "--fold",
    "teachers__fold",
    type=click.Choice(["mean_probabilities", "mean_logits", "draw"]),
    default=None,
    help="How several teachers become one.  [default: mean_probabilities]",
)
@click.option(
    "--label-smoothing", type=click.FloatRange(0, 1, max_open=True), default=None, help="Of the labels.  [default: 0]"
)
@click.option("--out", type=LOCAL, default=None, help="Run folder.  [default: runs/STUDENT-METHOD-sSEED]")
@click.option("--epochs", type=click.IntRange(min=1), default=None, help="[default: 10]")
@click.option("--batch-size", type=click.IntRange(min=1), default=None, help="[default: 128]")
@click.option("--lr", "optimiser__lr", type=click.FloatRange(min=0, min_open=True), default=None, help="[default: 0.1]")
@click.option("--seed", type=int, default=None, help="Of initialisation, order, views of --data.  [default: 0]")
@data_option
@root_option
@click.option(
    "--recipe",
    "data__recipe",
    default=None,
    help="Views without a store: cifar, rrc+randaugment, ... (kdcache recipes).  [default: the usual one]",
)
@decode_options("data__")
@trust_option
@click.option(
    "--view-schedule",
    type=click.Choice(["cycle", "shuffled", "first", "stretches"]),
    default=None,
    help="Which of the store's views each epoch shows.  [default: cycle]",
)
@normalise_option
@click.option("--live-teacher", is_flag=True, help="Run the teacher in the loop over the same views: the reference.")
@click.option("--teacher", default=None, help="Model of the live teacher where no store names it.")
@checkpoint_option
@click.option(
    "--verify",
    "check",
    type=click.Choice(["all", "sample", "off"]),
    default=None,
    help="Rows whose pixels are compared with the store's digests; off skips the witnesses too.  [default: sample]",
)
@click.option(
    "--resume",
    type=LOCAL,
    default=None,
    help="Go on with the run in this folder, as it was begun; --store, --data and --root say where these are now.",
)
@workers_option
@render_option
@device_option
@click.option(
    "--precision",
    type=click.Choice(["float32", "bf16", "fp16"]),
    default=None,
    help="float32 (TF32 off), or autocast to bf16, or to fp16 with scaled gradients.  [default: float32]",
)
@click.option(
    "--tensorboard",
    flag_value=True,
    default=None,
    help="Metrics for TensorBoard too, in RUN/tensorboard.",
)
@click.option("--preset", default=None, help="A recipe of the literature: cifar100, imagenet, quick (kdcache presets).")
@config_options
@json_option
@click.pass_context
def train(
    context: click.Context,
    config_file: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
    resume: Path | None,
    live_teacher: bool,
    data: str | None,
    root: str | None,
    normalise: str | None,
    teacher: str | None,
    checkpoint: Path | None,
    preset: str | None,
    **options: Any,
) -> None:
    """Train a student from a store, or any model on --data.

    Beside --store, --data says where its images are now, if they moved since the dump.

    Several GPUs or nodes: torchrun --nproc-per-node 4 -m cache_kd.cli train ..., see docs/training.md.

    \b
    Examples:
      kdcache train --data cifar100.h5 --student resnet20 --epochs 30 --out runs/teacher
      kdcache train --store stores/resnet20 --student resnet8 --method rld --set knobs.alpha=1
      kdcache train --store stores/resnet20 --student resnet8 --method dkd --temperature normkd
      kdcache train --store s3://team/stores/resnet20 --student resnet8 --method kd
      kdcache train --store a --store b --student resnet8 --method kd --fold mean_logits
      kdcache train --store stores/resnet32x4 --student resnet8x4 --method dkd --published cifar --preset cifar100

    A value of --set or of an option stands above one of --config, which stands above one of --preset.

    Any number of a method may follow a course over the epochs, counted from 1:

    \b
      --set 'knobs.tau={"points": [[1, 8.0], [30, 2.0]], "between": "cosine"}'
      --set 'soft_weight={"points": [[0, 0.0], [20, 1.0]]}'

    Eight views of each sample in a batch; logits of up to 1 GB held at once, beyond that read in windows of chunks
    within which samples are shuffled; or windows of 16 chunks whatever their size, 0 for none:

    \b
      --set views_per_batch=8
      --set order.memory_gb=1
      --set order.window=16
    """
    from cache_kd.cli.console import Terminal, print_json
    from cache_kd.ranks import is_first
    from cache_kd.train import train as run
    from cache_kd.train_config import resumed_config

    terminal = Terminal()
    if resume is not None:
        _refuse_beside_resume(context)
        config = resumed_config(
            resume,
            store=tuple(on_this_machine(place, terminal) for place in options["store"]),
            data=data,
            root=root,
            workers=options["workers"],
        )
    else:
        require(config_file, assignments, student=options["student"])
        if live_teacher:
            options |= {"live_teacher__name": teacher, "live_teacher__checkpoint": checkpoint}
        elif teacher is not None or checkpoint is not None:
            raise click.UsageError("--teacher and --checkpoint belong to --live-teacher; a store needs neither.")
        options["store"] = tuple(on_this_machine(place, terminal) for place in options["store"])
        config = _config(
            config_file,
            assignments,
            live_teacher,
            preset,
            data=data,
            data__root=root,
            data__normalise=normalise,
            **options,
        )
    summary = run(config, resume=resume is not None, progress=terminal)
    if not is_first():
        return
    if as_json:
        print_json(summary)
        return
    measured = summary["accuracy"] is not None
    accuracy = f"accuracy {100 * summary['accuracy']:.2f} %" if measured else "not evaluated, for want of test images"
    agreement = "" if summary["agreement"] is None else f"  agreement {100 * summary['agreement']:.2f} %"
    click.echo(f"{summary['run']}  {accuracy}{agreement}  {summary['seconds_per_epoch']:.1f} s/epoch")


def _refuse_beside_resume(context: click.Context) -> None:
    """A run goes on as it was begun: an option that would change it is refused, not passed over."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in BESIDE_RESUME
        and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(
            f"--resume goes on with the run as it was begun, and takes no {', '.join(given)}. Leave that out, or train "
            "anew without --resume. --store, --data and --root say where these are now; --workers and --json change "
            "no number."
        )


def _config(
    config_file: Path | None, assignments: tuple[str, ...], live_teacher: bool, preset: str | None, **options: Any
) -> Any:
    """The run that the options describe; its folder is named after it unless --out says otherwise."""
    from cache_kd.config import build, gathered
    from cache_kd.presets import preset_named
    from cache_kd.train_config import TrainConfig

    data = options.pop("data")
    given = overrides(assignments, **{"data__data": data, **options})
    if live_teacher:
        given.setdefault("live_teacher", {})
        given = {"live_teacher": given.pop("live_teacher"), **given}
    for several in ("store", "trust"):
        if not given.get(several):
            given.pop(several, None)
    values = gathered(config_file, given)
    if preset:
        student = values.get("student")
        values = preset_named(preset).beneath(values, student if isinstance(student, str) else None)
    origin = str(config_file) if config_file else ""
    return build(TrainConfig, {"out": _usual_folder(values, origin), **values}, origin=origin)


def _usual_folder(values: Mapping[str, Any], origin: str) -> Path:
    """Where a run lies that nobody named a folder for: runs/STUDENT-METHOD-sSEED."""
    from cache_kd.composition import Composition
    from cache_kd.config import build

    named = {key: values[key] for key in ("method", "refine", "temperature") if key in values}
    method = build(Composition, named, origin=origin).label
    return Path("runs") / f"{values.get('student', 'student')}-{method}-s{values.get('seed', 0)}".replace(":", ".")
