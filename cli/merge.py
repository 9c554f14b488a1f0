"""`kdcache merge`: several teachers' stores averaged into one."""

from pathlib import Path

import click

from cache_kd.cli.options import LOCAL, PLACE, json_option, normalise_option, on_this_machine, overrides


@click.command()
@click.argument("members", metavar="A B [C ...]", nargs=-1, required=True, type=PLACE)
@click.option("--store", type=LOCAL, required=True, help="Folder of the ensemble's store.")
@click.option("--weights", default=None, help="Of the members, in their order: 0.7,0.3.  [default: all alike]")
@click.option(
    "--average",
    type=click.Choice(["logits", "probabilities"]),
    default=None,
    help="Mean of raw logits, for any temperature; or log of the mean softmax, for temperature 1.  [default: logits]",
)
@click.option("--codec", default=None, help="How logits are kept; see docs/stores.md.  [default: float16]")
@normalise_option
@json_option
def merge(members: tuple[Path | str, ...], weights: str | None, as_json: bool, **options: object) -> None:
    """Average the stores A B [C ...], of several teachers over the same views, into one store.

    Their views are compared by manifest and by the digest of every row; codecs and layouts may differ, and in whatever
    order they are named the store is the same. Safe to interrupt and to repeat: finished shards are kept, views that
    all members gained are added.

    \b
    Example:
      kdcache merge stores/resnet20 stores/resnet8 --store stores/ensemble --weights 0.7,0.3
    """
    if len(members) < 2:
        raise click.UsageError(f"{members[0]} alone is no ensemble; name two stores or more.")
    from cache_kd.cli.console import Terminal, print_json, size
    from cache_kd.config import load, parse_value
    from cache_kd.merge import MergeConfig
    from cache_kd.merge import merge as run

    shares = weights and tuple(parse_value(word) for word in weights.split(","))
    terminal = Terminal()
    here = tuple(on_this_machine(member, terminal) for member in members)
    config = load(MergeConfig, None, overrides((), members=here, weights=shares or None, **options))
    result = run(config, terminal)
    if as_json:
        print_json(result.model_dump())
        return
    done = f"{result.merged_rows:,} rows in {result.seconds:.1f} s" if result.merged_rows else "already there"
    click.echo(
        f"{result.store}  {result.store_id}  {result.teacher}  {result.views} views x {result.samples:,}  "
        f"{size(result.bytes)}  ({done})"
    )
    terminal.say(f"Train from it: kdcache train --store {result.store} --student resnet8 --method kd")
