"""`kdcache recipes`: the views there are, one of them in full, and a picture of them."""

from typing import TYPE_CHECKING, Any

import click

from cache_kd.cli.options import LOCAL, data_option, decode_options, json_option, overrides, root_option

if TYPE_CHECKING:
    from cache_kd.recipe_description import Description, Explanation


@click.command()
@click.argument("words", required=False)
@data_option
@root_option
@decode_options()
@click.option("--views", type=click.IntRange(min=1), default=None, help="On the sheet, of each sample.  [default: 8]")
@click.option("--samples", type=click.IntRange(min=1), default=None, help="On the sheet.  [default: 6]")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Of the views, as for a dump.  [default: 0]")
@click.option("--out", type=LOCAL, default=None, help="The sheet to write, a PNG.")
@json_option
def recipes(words: str | None, as_json: bool, **options: Any) -> None:
    """List recipes and steps, show some in full, or draw a sheet of real views.

    WORDS is what --recipe takes elsewhere: a name, words joined by +, package.module:function, or JSON. With it:
    what each part does, its knobs, its papers, and the JSON that a store's manifest holds.

    With --data and --out: a picture of a few training images, one row each, the plain view and then the views that a
    dump with this recipe and seed shows the teacher.

    \b
    Examples:
      kdcache recipes
      kdcache recipes rrc+randaugment+erasing
      kdcache recipes cifar+cutout --data cifar100.h5 --out sheet.png
    """
    of_sheet = [name for name, value in options.items() if value is not None]
    if not of_sheet:
        _print_list(as_json) if words is None else _print_explanation(words, as_json)
    elif words is None or options["data"] is None or options["out"] is None:
        raise click.UsageError("A sheet takes WORDS, --data and --out: kdcache recipes cifar --data DATA --out x.png")
    else:
        _draw_sheet(words, as_json, **options)


def _draw_sheet(words: str, as_json: bool, **options: Any) -> None:
    from cache_kd.cli.console import Terminal, print_json
    from cache_kd.config import load
    from cache_kd.sheet import SheetConfig, contact_sheet

    config = load(SheetConfig, overrides=overrides((), recipe=words, **options))
    sheet = contact_sheet(config, Terminal())
    width, height = sheet.size
    if as_json:
        print_json({"out": config.out, "width": width, "height": height, "scale": sheet.scale, "rows": sheet.labels})
        return
    click.echo(
        f"{config.out}: {len(sheet.labels)} samples, the plain view and {config.views} views, "
        f"{width} x {height} pixels."
    )


def _print_list(as_json: bool) -> None:
    from dataclasses import asdict

    from cache_kd.cli.console import print_json, print_table
    from cache_kd.recipe_description import describe_all
    from cache_kd.views.find import MIXES

    described = describe_all()
    if as_json:
        print_json([asdict(each) for each in described])
        return
    for role, title in (("recipe", "Recipes, the first word"), ("step", "Steps, joined by +")):
        print_table(title, (role, "what it makes", "runs on", "paper"), _rows(described, role))
    click.echo("Words are joined by +: a recipe, its steps in order, mixing last.")
    click.echo("  --recipe cifar+cutout   --recipe rrc+randaugment+erasing   --recipe my.module:transform+erasing")
    click.echo(f"  --recipe cifar+{'   --recipe cifar+'.join(MIXES)}")
    click.echo('A knob: --recipe \'{"name": "rrc", "size": 176}\'.  One in full: kdcache recipes rrc')


def _rows(described: "list[Description]", role: str) -> list[tuple[str, str, str, str]]:
    return [(each.name, each.summary, each.runs_on, each.reference or "-") for each in described if each.role == role]


def _print_explanation(words: str, as_json: bool) -> None:
    from dataclasses import asdict

    from cache_kd.cli.console import print_json
    from cache_kd.config import parse_value
    from cache_kd.recipe_description import explain

    explained = explain(parse_value(words) if words.startswith("{") else words)
    if as_json:
        print_json(asdict(explained))
        return
    _print_parts(explained)


def _print_parts(explained: "Explanation") -> None:
    import json

    from cache_kd.cli.console import print_table

    for part in explained.parts:
        click.echo(f"{part.name} ({part.role}, {part.runs_on})\n\n{part.text}\n")
        rows = [
            (knob.name, knob.takes, "must be given" if knob.required else json.dumps(knob.default))
            for knob in part.knobs
        ]
        if rows:
            print_table("", ("knob", "takes", "default"), rows)
            click.echo()
    if explained.manifest is not None:
        click.echo(f"As JSON: {json.dumps(explained.manifest)}")
