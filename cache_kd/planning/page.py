"""Writes a plan's picture: a PNG or SVG file, or a self-contained HTML page with the table and the arithmetic."""

import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from matplotlib.figure import Figure

from cache_kd.disk import mending
from cache_kd.errors import ConfigError, RunError
from cache_kd.files import write_whole

SUFFIXES = (".png", ".svg", ".html")


def check_place(out: Path) -> None:
    """See that `out` is the name of a file of a kind that can be written, before hours or seconds are spent.

    Raises:
        ConfigError: it is a folder, or has another suffix.
    """
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; the picture needs the name of a file. Pass --out {out / 'plan.png'}.")
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"--out {out}: found the suffix {out.suffix!r}, expected one of {', '.join(SUFFIXES)}.")


def write_picture(
    path: Path, figure: Figure, *, title: str, paragraphs: Sequence[str], table: Sequence[Sequence[str]], command: str
) -> None:
    """Write `figure` to `path`, on its own or on a page that loads nothing and runs nothing.

    Args:
        path: with one of `SUFFIXES`.
        figure: what is drawn.
        title: of the page.
        paragraphs: below the picture.
        table: rows of cells, headings first.
        command: shown as it is; empty where there is none.

    Raises:
        RunError: the file cannot be written.
    """
    content = io.BytesIO()
    # an SVG holds the date unless told otherwise, and equal plans would differ
    metadata: dict[str, Any] = {} if path.suffix == ".png" else {"Date": None}
    figure.savefig(content, format="png" if path.suffix == ".png" else "svg", metadata=metadata)
    drawn = content.getvalue()
    if path.suffix == ".html":
        template = Environment(autoescape=True, trim_blocks=True).from_string(
            files("cache_kd").joinpath("plan.html").read_text("utf-8")
        )
        svg = Markup(drawn[drawn.index(b"<svg") :].decode())
        drawn = template.render(title=title, svg=svg, paragraphs=paragraphs, table=table, command=command).encode()
    with mending(path, RunError, option="--out", again="run the same command again"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, drawn)
