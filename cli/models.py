"""`kdcache models`: the models there are, and one of them in full."""

from typing import TYPE_CHECKING

import click

from cache_kd.cli.options import json_option

if TYPE_CHECKING:
    from cache_kd.models.description import Details


@click.command()
@click.argument("name", required=False)
@click.option("--classes", type=click.IntRange(min=1), default=100, show_default=True, help="Outputs.")
@click.option("--channels", type=click.IntRange(min=1), default=3, show_default=True, help="Of the pictures.")
@click.option(
    "--size",
    type=click.IntRange(min=1),
    default=None,
    help="Height and width of the pictures.  [default: what NAME is made for]",
)
@json_option
def models(name: str | None, classes: int, channels: int, size: int | None, as_json: bool) -> None:
    """List the models, or show one in full.

    With NAME, as --student and --teacher take it: its parameters, what its layers make of a picture, its paper, and how
    published weights are loaded. `torchvision:` and `timm:` list the models of these libraries with their weights.

    \b
    Examples:
      kdcache models
      kdcache models resnet8x4 --classes 10
      kdcache models torchvision:resnet50
    """
    from dataclasses import asdict

    from cache_kd.cli.console import print_json
    from cache_kd.models.description import describe
    from cache_kd.models.zoo import library_of

    library = library_of(name) if name else None
    if name is None:
        _print_list(classes, channels, as_json)
    elif library is not None and name == library.PREFIX:
        _print_library(library.PREFIX, library.catalogue(), as_json)
    else:
        details = describe(name, classes=classes, channels=channels, pictures=size)
        print_json(asdict(details)) if as_json else _print_details(details)


def _print_list(classes: int, channels: int, as_json: bool) -> None:
    from dataclasses import asdict

    from cache_kd.cli.console import print_json, print_table
    from cache_kd.models.description import summaries

    listed = summaries(classes=classes, channels=channels)
    if as_json:
        print_json([asdict(each) for each in listed])
        return
    rows = [
        (each.name, f"{each.parameters:,}", each.family, each.reference, f"{each.pictures}x{each.pictures}")
        for each in listed
    ]
    print_table("", ("model", "parameters", "family", "paper", "made for"), rows, right=("parameters",))
    click.echo(f"Parameters: for {classes} classes and {channels} channel(s).  One in full: kdcache models NAME")
    click.echo("torchvision:NAME, timm:NAME (kdcache models torchvision:) and package.module:function are models, too.")


def _print_library(prefix: str, catalogue: dict[str, list[str]], as_json: bool) -> None:
    from cache_kd.cli.console import print_json, print_table

    if as_json:
        print_json({f"{prefix}{name}": weights for name, weights in catalogue.items()})
        return
    rows = [(f"{prefix}{name}", ", ".join(weights)) for name, weights in catalogue.items()]
    print_table("", ("model", "published weights, for --checkpoint"), rows)


def _print_details(details: "Details") -> None:
    from cache_kd.cli.console import print_table

    source = f"{details.family}; {details.paper}" if details.paper else details.family
    click.echo(f"{details.name}: {source}")
    click.echo(f"{details.parameters:,} parameters for {details.classes} classes and {details.channels} channel(s)")
    click.echo(f"Features before the classifier: {details.features or 'none, the logits come from no linear layer'}")
    rows = [(name, " x ".join(map(str, shape))) for name, shape in details.layers.items()]
    print_table("", ("layer", f"output for one picture of {details.pictures}x{details.pictures}"), rows)
    click.echo(_loading(details))


def _loading(details: "Details") -> str:
    if details.weights:
        return (
            f"Published weights: {', '.join(details.weights)}. They bring their normalisation and classes:\n"
            f"  kdcache dump --teacher {details.name} --checkpoint default ..."
        )
    return (
        "Weights: .safetensors, or a torch file of a state dict, bare or under 'state_dict', 'model' or 'net':\n"
        f"  kdcache dump --teacher {details.name} --checkpoint FILE --normalise cifar100 ..."
    )
