"""`kdcache presets`: the recipes of the literature, and one of them in full."""

import click

from cache_kd.cli.options import json_option


@click.command()
@click.argument("name", required=False)
@json_option
def presets(name: str | None, as_json: bool) -> None:
    """List the presets of kdcache train, or show one.

    With NAME: its TOML file, which can be copied, changed and passed as --config.

    \b
    Examples:
      kdcache presets
      kdcache presets cifar100
    """
    from cache_kd.cli.console import print_json, print_table
    from cache_kd.presets import names, preset_named, text_of

    described = {each: preset_named(each) for each in ([name] if name else names())}
    if as_json:
        print_json({each: preset.model_dump() for each, preset in described.items()})
    elif name:
        click.echo(text_of(name), nl=False)
    else:
        print_table("", ("preset", "what", "source"), [(each, of.about, of.source) for each, of in described.items()])
        click.echo("Train with one: kdcache train --store STORE --student resnet8x4 --method kd --preset cifar100")
        click.echo("A value of --config, of an option or of --set stands above the preset's.")
