"""`kdcache data`: the data sets that have a name, and whether one of them is there."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cache_kd.cli.options import json_option

if TYPE_CHECKING:
    from cache_kd.sources.presence import Presence
    from cache_kd.sources.preset import Preset


@click.command()
@click.argument("name", required=False)
@click.option("--root", default=None, help="Folder to look in, as dump and train take it.")
@json_option
def data(name: str | None, root: str | None, as_json: bool) -> None:
    """List the data sets of the papers, or show one and check what is there.

    With NAME, as --data takes it: its splits, recipe and normalisation, where it is looked for, and the commands that
    get it; nothing is downloaded. With --root as well, what is there is counted class by class and a few images are
    decoded. Exits with 1 where something is missing or wrong.

    \b
    Examples:
      kdcache data
      kdcache data tiny-imagenet
      kdcache data tiny-imagenet --root DATA
    """
    from dataclasses import asdict

    from cache_kd.cli.console import print_json
    from cache_kd.errors import SourceError, did_you_mean
    from cache_kd.sources.presence import look_into
    from cache_kd.sources.preset import PRESETS, preset_named

    if name is None:
        _print_list(PRESETS, root, as_json)
        return
    preset = preset_named(name)
    if preset is None:
        raise SourceError(f"There is no data set {name!r}; {did_you_mean(name, [each.name for each in PRESETS])}")
    presence = look_into(preset, root) if root is not None else None
    if as_json:
        print_json(_for_scripts(preset, root) | {"presence": presence and asdict(presence)})
    else:
        _print_details(preset, root, presence)
    if presence is not None and presence.state != "whole":
        raise click.exceptions.Exit(1)


def _print_list(presets: "tuple[Preset, ...]", root: str | None, as_json: bool) -> None:
    from cache_kd.cli.console import print_json, print_table
    from cache_kd.sources.presence import is_present

    if as_json:
        print_json([_for_scripts(preset, root) for preset in presets])
        return
    columns = ["data", "train", "test", "classes", "pixels", "recipe", "normalise", "below --root"]
    rows = [
        [
            preset.name,
            f"{preset.images['train']:,}",
            f"{preset.images['test']:,}",
            str(preset.classes),
            _pixels(preset),
            preset.recipe,
            preset.normalise,
            preset.folders[0] if preset.folders[0] != "." else preset.marker,
        ]
        for preset in presets
    ]
    if root is not None:
        columns.append("there")
        rows = [[*row, "yes" if is_present(preset, root) else "no"] for row, preset in zip(rows, presets, strict=True)]
    print_table("", columns, rows, right=("train", "test", "classes"), whole=("data",))
    click.echo("One in full, and how to get it: kdcache data NAME.  Whether it is there: kdcache data NAME --root DATA")
    click.echo("Recipe and normalisation are what dump and train take where none is given; they say so.")


def _print_details(preset: "Preset", root: str | None, presence: "Presence | None") -> None:
    click.echo(f"{preset.title}: {preset.paper}")
    splits = ", ".join(f"{split} {images:,}" for split, images in preset.images.items())
    click.echo(f"{splits} images of {preset.classes} classes, {_pixels(preset)} pixels")
    click.echo(f"Recipe {preset.recipe}, normalisation {preset.normalise}. {preset.note}")
    click.echo("\nLooked for, in this order:")
    for place in preset.places(root) if root else [Path("DATA") / folder for folder in preset.folders]:
        click.echo(f"  {place}")
    if presence is None or presence.state == "absent":
        click.echo(f"\nTo get it ({preset.url}), in the folder that --root names:")
        for command in preset.commands:
            click.echo(f"  {command}")
    if presence is None:
        click.echo(f"\nThen: kdcache data {preset.name} --root DATA")
        return
    click.echo(f"\n{_words(presence, root or '')}")


def _words(presence: "Presence", root: str) -> str:
    if presence.state == "absent":
        return f"It is not below {root}."
    lines = [f"Found in {presence.place}:"]
    for split, found in presence.splits.items():
        spread = f"{found.fewest:,}" if found.fewest == found.most else f"{found.fewest:,} to {found.most:,}"
        lines.append(
            f"  {split}: {found.images:,} of {found.expected:,} images, {found.classes} classes of {spread} each, "
            f"{found.decoded} images decoded"
        )
    if presence.state == "whole":
        lines.append(f"All of it is there: --data {presence.name} --root {root}")
        return "\n".join(lines)
    lines.append("Missing or wrong:")
    return "\n".join([*lines, *(f"  {fault}" for fault in presence.faults)])


def _pixels(preset: "Preset") -> str:
    return f"{preset.pixels}x{preset.pixels}" if preset.pixels else "any"


def _for_scripts(preset: "Preset", root: str | None) -> dict[str, object]:
    from cache_kd.sources.presence import is_present

    plain = {
        field: getattr(preset, field)
        for field in ("name", "title", "paper", "classes", "pixels", "recipe", "normalise", "note", "url", "commands")
    }
    places = [str(place) for place in preset.places(root)] if root is not None else list(preset.folders)
    there = is_present(preset, root) if root is not None else None
    return {**plain, "images": dict(preset.images), "places": places, "there": there}
