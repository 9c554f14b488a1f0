"""`kdcache methods`: the methods there are, and one of them in full."""

import click

from cache_kd.cli.options import json_option


@click.command()
@click.argument("name", required=False)
@json_option
def methods(name: str | None, as_json: bool) -> None:
    """List the methods, or show one in full.

    With NAME: its formula, its paper, its knobs, what it lends and needs, and where paper and code disagree.

    \b
    Examples:
      kdcache methods
      kdcache methods rld
    """
    from dataclasses import asdict

    from cache_kd.cli.console import print_json, print_table
    from cache_kd.description import describe, in_words
    from cache_kd.methods import names

    described = [describe(each) for each in ([name] if name else names())]
    if as_json:
        print_json([asdict(each) for each in described])
        return
    if name:
        click.echo(described[0].text)
        click.echo()
        for what, value in described[0].facts().items():
            click.echo(f"{what}: {value}")
        return
    rows = [
        (each.name, each.reference, each.usage, in_words(each.roles, none="plain KD"), each.needs) for each in described
    ]
    print_table("", ("method", "paper", "knobs", "its own", "needs"), rows)
    click.echo("One in full: kdcache methods NAME.  A knob: kdcache train --method rld --set knobs.alpha=1")
    click.echo("A temperature or a refinement of its own can be lent: kdcache train --method dkd --temperature normkd")
