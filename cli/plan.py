"""`kdcache plan`: which codec to dump a teacher with, measured on a pilot."""

import re
from decimal import Decimal
from pathlib import Path

import click

from cache_kd.cli.options import (
    LOCAL,
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

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Bytes(click.ParamType):
    """A number and perhaps a unit, such as 5GB, in bytes."""

    name = "bytes"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Whole bytes."""
        if isinstance(value, int):
            return value
        words = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)?", value.strip().upper())
        if words is None:
            self.fail(f"{value!r} is no size; write a number and B, kB, MB, GB or TB, for example 5GB.", param, ctx)
        return int(Decimal(words[1]) * UNITS[words[2] or ""])


@click.command()
@data_option
@root_option
@decode_options()
@click.option("--teacher", default=None, help="As for kdcache dump.")
@checkpoint_option
@normalise_option
@click.option("--recipe", default=None, help="As for kdcache dump.")
@views_option
@seed_option
@click.option("--budget-bytes", type=Bytes(), default=None, help="For the whole store, such as 5GB: take the truest.")
@click.option("--max-kl", type=float, default=None, help="Nats at --at-tau, such as 1e-4: take the smallest.")
@click.option("--at-tau", type=click.IntRange(min=1), default=None, help="Temperature of the KL.  [default: 4]")
@click.option(
    "--methods",
    metavar="NAME,NAME",
    default=None,
    help="To compare gradients of.  [default: kd,normkd,la,dtd,rld,atkd]",
)
@click.option("--students", type=click.IntRange(min=1), default=None, help="To be trained.  [default: 10]")
@click.option("--epochs", type=click.IntRange(min=1), default=None, help="Of each student.  [default: 240]")
@click.option("--pilot", type=click.IntRange(min=2), default=None, help="Views to ask about now.  [default: 4096]")
@batch_size_option
@click.option("--out", type=LOCAL, default=None, help="Picture: a .png, .svg or .html file.")
@workers_option
@render_option
@device_option
@precision_option
@config_options
@json_option
def plan(
    config_file: Path | None, assignments: tuple[str, ...], as_json: bool, methods: str | None, **options: object
) -> None:
    """Measure what every codec would cost this teacher, and recommend one.

    The teacher is asked about a few thousand views; nothing is stored. For every codec: bytes, KL at several
    temperatures, top-1 agreement, and how far each method's gradient turns. Then what the dump takes, after how
    many students it is paid for, and the kdcache dump command.

    Without --budget-bytes and --max-kl the smallest codec is taken whose KL at T = 1 and 4 is at most 1e-4 nats and
    that leaves every method's gradient a cosine of 0.999. Where no codec meets the wish, the exit code is 1.

    \b
    Example:
      kdcache plan --data cifar100.h5 --teacher resnet20 --checkpoint runs/teacher/weights.safetensors \\
        --views 4 --max-kl 1e-4 --at-tau 4 --methods kd,dkd+normkd --out plan.png
    """
    needed = ("data", "teacher", "checkpoint")
    require(config_file, assignments, **{name: options[name] for name in needed})
    from cache_kd.cli.console import Terminal, print_json, print_table
    from cache_kd.config import load
    from cache_kd.errors import ConfigError
    from cache_kd.plan import PlanConfig
    from cache_kd.plan import plan as run
    from cache_kd.planning.table import method_table, size_table

    if methods is not None:
        options["methods"] = [name.strip() for name in methods.split(",") if name.strip()]
    config = load(PlanConfig, config_file, overrides(assignments, **options))
    result = run(config, Terminal())
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        for title, table in (
            (f"Measured on {result.measured_views:,} views", size_table(result.prices, result.choice)),
            ("Cosine of each method's gradient with the exact one", method_table(result.prices, result.choice)),
        ):
            print_table(title, table[0], table[1:], right=table[0][1:])
        click.echo(f"► recommended, * no other is as small and truer at T = {result.at_tau}\n")
        for reason in dict.fromkeys(result.refused.values()):
            codecs = ", ".join(codec for codec, why in result.refused.items() if why == reason)
            click.echo(f"Not {codecs}: {reason}\n")
        click.echo(f"{result.estimate}\n")
    if result.command is None:
        raise ConfigError(result.verdict)
    if not as_json:
        click.echo(f"{result.verdict}\n\n{result.command}")
