"""Draws a contact sheet: rows of tiles that keep every pixel, with words around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from cache_kd.errors import ConfigError
from cache_kd.types import AnyPicture

LEAST_TILE = 112  # pixels; smaller tiles are enlarged by a whole factor
MARGIN, GAP, LINE = 20, 8, 17
LABELS = 150  # width of the words left of a row
LARGEST = 80_000_000  # pixels of a whole sheet; image viewers, and Pillow itself, balk at more
INK, PALE = (30, 30, 34), (118, 118, 126)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One view of every sample.

    Attributes:
        head: what it is.
        tiles: uint8 [height, width, channels] each, grey or RGB, all of one size.
        captions: a few lines below each tile.
    """

    head: str
    tiles: tuple[AnyPicture, ...]
    captions: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A sheet before it is drawn.

    Attributes:
        title: the recipe.
        note: where the pictures are from.
        labels: a few lines for each row.
        columns: at least one, each with as many tiles as there are labels, at least one.
    """

    title: str
    note: str
    labels: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]

    @property
    def scale(self) -> int:
        """How many pixels of the sheet, each way, one pixel of a view becomes."""
        largest: int = max(max(column.tiles[0].shape[:2]) for column in self.columns)
        return -(-LEAST_TILE // largest)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet in pixels."""
        left, below, width, _ = self.box(len(self.labels), len(self.columns) - 1)
        return left + width + MARGIN, below - GAP + MARGIN

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Left, top, width and height of a tile on the sheet, in pixels."""
        height, width = (self.scale * side for side in self.columns[column].tiles[0].shape[:2])
        left = MARGIN + LABELS + sum(self._width(before) + GAP for before in self.columns[:column])
        return left, MARGIN + 4 * LINE + row * self._row_height, width, height

    @property
    def _row_height(self) -> int:
        tallest: int = max(column.tiles[0].shape[0] for column in self.columns)
        beside = LINE * max(map(len, self.labels))
        return max(self.scale * tallest + self._caption_height, beside) + GAP

    @property
    def _caption_height(self) -> int:
        return LINE * max(len(caption) for column in self.columns for caption in column.captions)

    def _width(self, column: Column) -> int:
        width: int = column.tiles[0].shape[1]
        return self.scale * width

    def png(self, said: Mapping[str, str]) -> bytes:
        """The sheet as a PNG file, with `said` as its text entries.

        Raises:
            ConfigError: the sheet would be too large to look at.
        """
        width, height = self.size
        if width * height > LARGEST:
            raise ConfigError(
                f"The sheet would have {width:,} x {height:,} pixels; {LARGEST / 1e6:.0f} million are the most. "
                "Ask for fewer --samples or --views."
            )
        text = PngInfo()
        for name, value in said.items():
            text.add_itxt(name, value)
        content = BytesIO()
        self._drawn().save(content, format="PNG", pnginfo=text)
        return content.getvalue()

    def _drawn(self) -> Image.Image:
        sheet = Image.new("RGB", self.size, "white")
        pen, plain, bold = ImageDraw.Draw(sheet), _font("DejaVuSans", 12), _font("DejaVuSans-Bold", 15)
        room = self.size[0] - 2 * MARGIN
        pen.text((MARGIN, MARGIN), _short(self.title, bold, room), INK, bold)
        pen.text((MARGIN, MARGIN + int(1.4 * LINE)), _short(self.note, plain, room), PALE, plain)
        for number, column in enumerate(self.columns):
            left, top, width, height = self.box(0, number)
            pen.text((left, top - LINE), _short(column.head, plain, width), PALE, plain)
            for row, (tile, caption) in enumerate(zip(column.tiles, column.captions, strict=True)):
                left, top, width, height = self.box(row, number)
                sheet.paste(_enlarged(tile, self.scale), (left, top))
                for line, words in enumerate(caption):
                    pen.text((left, top + height + line * LINE), _short(words, plain, width), INK, plain)
        for row, label in enumerate(self.labels):
            top = self.box(row, 0)[1]
            for line, words in enumerate(label):
                pen.text((MARGIN, top + line * LINE), _short(words, plain, LABELS - GAP), PALE if line else INK, plain)
        return sheet


def _enlarged(tile: AnyPicture, scale: int) -> Image.Image:
    pixels = tile.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])).convert("RGB")


def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    # matplotlib ships these: Latin, Greek and Cyrillic letters, the same on every machine
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")), height)


def _short(words: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """`words`, cut where they do not fit into `room` pixels."""
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(words + "…") > room:
        words = words[:-1]
    return words.rstrip() + "…"
