"""Options that several commands share, and how they become a config."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cache_kd.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])


class PlaceType(click.ParamType):
    """A folder, or the URL of one in a bucket."""

    name = "path or url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """A `Path`, or the URL as text."""
        from cache_kd.bucket.url import as_place

        place: Path | str = as_place(value)
        return place


PLACE = PlaceType()


class UrlType(PlaceType):
    """The URL of a folder in a bucket."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The URL."""
        place = super().convert(value, param, ctx)
        if isinstance(place, Path):
            self.fail(f"{value!r} is no URL; a bucket is written as s3://, gs://, az:// or file:///.", param, ctx)
        return place


URL = UrlType()


class LocalType(click.Path):
    """A file or folder of this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A `Path`."""
        from cache_kd.bucket.url import refuse_url

        try:
            return super().convert(refuse_url(value), param, ctx)
        except ValueError as fault:
            self.fail(f"{fault}.", param, ctx)


LOCAL = LocalType(path_type=Path)

views_option = click.option(
    "--views", type=click.IntRange(min=1), default=None, help="Augmented views per image.  [default: 4]"
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=None, help="Of the views.  [default: 0]")
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(min=1), default=None, help="Images per forward pass.  [default: 256]"
)
device_option = click.option(
    "--device", metavar="auto|cpu|cuda|mps", default=None, help="Where models run; auto takes a GPU if there is one."
)
precision_option = click.option(
    "--precision", type=click.Choice(["float32", "bf16"]), default=None, help="float32 (TF32 off) or bf16 autocast."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
data_option = click.option(
    "--data",
    default=None,
    help="An .h5 file, a folder of class folders, a name such as cifar-100 (kdcache data), package.module:function.",
)
root_option = click.option("--root", default=None, help="Folder that holds data with a name; nothing is downloaded.")
checkpoint_option = click.option(
    "--checkpoint",
    type=LOCAL,
    default=None,
    help="Weights: .safetensors, a torch file of tensors, or what torchvision:NAME or timm:NAME publishes: default, "
    "IMAGENET1K_V2, ... (kdcache models NAME).",
)
normalise_option = click.option(
    "--normalise",
    default=None,
    help="cifar10, cifar100, cinic10, fashion-mnist, imagenet, tiny-imagenet, or JSON with mean and std; a checkpoint "
    "of ours says its own.",
)


def decode_options(prefix: str = "") -> Callable[[Command], Command]:
    """Options of how image files become pixels; `prefix` is where the config keeps `decode`, such as `data__`."""

    def add(command: Command) -> Command:
        for option in (
            click.option(
                "--decode",
                f"{prefix}decode__backend",
                type=click.Choice(["pillow", "torchvision"]),
                default=None,
                help="Decoder of JPEGs; both give the same pixels.  [default: pillow]",
            ),
            click.option(
                "--exif",
                f"{prefix}decode__orientation",
                flag_value="exif",
                default=None,
                help="Turn photographs upright as their EXIF says.",
            ),
            click.option(
                "--unreadable",
                f"{prefix}decode__unreadable",
                type=click.Choice(["stop", "skip"]),
                default=None,
                help="What a broken image file does; skip decodes every file once beforehand.  [default: stop]",
            ),
        )[::-1]:
            command = option(command)
        return command

    return add


workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0, max=1024),
    default=None,
    help="Processes that render views; no pixel depends on them.  [default: chosen; 0 where they gain nothing]",
)
render_option = click.option(
    "--render",
    type=click.Choice(["cpu", "device"]),
    default=None,
    help="Where views are computed: cpu, or device, where the model is. The same pixels.  [default: cpu]",
)
trust_option = click.option(
    "--trust",
    multiple=True,
    metavar="PACKAGE.MODULE:FUNCTION",
    help="Import this function, which the store names: a transform, images or a model of somebody's own. Repeatable.",
)


def config_options(command: Command) -> Command:
    """Add --config and --set, which reach every knob."""
    command = click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any other knob.")(command)
    return click.option(
        "--config",
        "config_file",
        type=LOCAL,
        default=None,
        help="TOML file with any of the knobs.",
    )(command)


def on_this_machine(place: Path | str, progress: "Progress") -> Path:
    """A folder as it is; of a store in a bucket its copy, fetched or brought up to date."""
    from cache_kd.bucket.copies import local_store

    return local_store(place, progress)


def overrides(assignments: tuple[str, ...], **options: Any) -> dict[str, Any]:
    """Dotted overrides from the options that were given, then --set; JSON text becomes its value."""
    from cache_kd.config import parse_assignments, parse_value

    given = {
        key.replace("__", "."): parse_value(value) if isinstance(value, str) and value[:1] in "{[" else value
        for key, value in options.items()
        if value is not None
    }
    return given | parse_assignments(assignments)


def require(config_file: Path | None, assignments: tuple[str, ...], **options: Any) -> None:
    """Refuse, as a usage error, what neither an option nor --set nor a --config could have given."""
    if config_file is not None:
        return
    set_keys = {pair.partition("=")[0].partition(".")[0] for pair in assignments}
    for name, value in options.items():
        if value is None and name not in set_keys:
            raise click.UsageError(f"Missing option '--{name.replace('_', '-')}'.")
