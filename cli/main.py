"""`kdcache`: the group of commands, and how their errors reach a person."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from cache_kd import __version__
from cache_kd.cli.compare import compare
from cache_kd.cli.data import data
from cache_kd.cli.demo import demo
from cache_kd.cli.dump import dump
from cache_kd.cli.export import export
from cache_kd.cli.export_student import export_student
from cache_kd.cli.find import find
from cache_kd.cli.gc import gc
from cache_kd.cli.import_ import import_
from cache_kd.cli.info import info
from cache_kd.cli.look import look
from cache_kd.cli.ls import ls
from cache_kd.cli.merge import merge
from cache_kd.cli.methods import methods
from cache_kd.cli.models import models
from cache_kd.cli.plan import plan
from cache_kd.cli.presets import presets
from cache_kd.cli.pull import pull
from cache_kd.cli.push import push
from cache_kd.cli.recipes import recipes
from cache_kd.cli.repair import repair
from cache_kd.cli.rm import rm
from cache_kd.cli.schema import schema
from cache_kd.cli.train import train
from cache_kd.cli.verify import verify
from cache_kd.errors import KdCacheError, OtherEnvironment, PixelDrift, SeveralWeights, UnprovenAlignment


class Commands(click.Group):
    """Turns what a user can mend into one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _warnings_in_words():
                return super().invoke(ctx)
        except KdCacheError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as stop:
            raise click.ClickException(f"Stopped. {_after_stop(ctx)}") from stop


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    """Say what our own warnings say, without the line of code that other warnings are shown with."""
    ours = (OtherEnvironment, PixelDrift, SeveralWeights, UnprovenAlignment)
    with warnings.catch_warnings():
        for kind in ours:
            warnings.simplefilter("always", kind)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, ours):
                click.echo(f"Warning: {message}", err=True)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _after_stop(ctx: click.Context) -> str:
    kept = {
        "dump": "Finished shards are kept; ",
        "train": "What was saved is kept; ",
        "compare": "Finished runs and epochs are kept; ",
        "import": "Finished shards are kept; ",
        "merge": "Finished shards are kept; ",
        "demo": "Finished steps are kept; ",
        "repair": "What was redone is kept; ",
        "push": "What was sent is kept; ",
        "pull": "What came whole is kept; ",
        "rm": "Some files may be gone; ",
        "gc": "Some dumps may be gone; ",
    }
    name = ctx.invoked_subcommand or ""
    return f"{kept[name]}{_again(ctx)} to go on." if name in kept else "Nothing was changed."


def _again(ctx: click.Context) -> str:
    return "pass --resume RUN" if ctx.invoked_subcommand == "train" else "run the same command again"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kdcache")
def main() -> None:
    """Run a teacher once, cache its raw logits over augmented views, train any student with any method from the cache.

    \b
    Example:
      kdcache demo
    """


for command in (
    plan,
    dump,
    train,
    compare,
    info,
    ls,
    find,
    look,
    verify,
    repair,
    merge,
    rm,
    gc,
    push,
    pull,
    methods,
    models,
    presets,
    recipes,
    data,
    export,
    export_student,
    import_,
    schema,
    demo,
):
    main.add_command(command)
