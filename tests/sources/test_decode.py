"""Every kind of image file, made here, through both decoders."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from cache_kd.config import build
from cache_kd.errors import ConfigError, SourceError
from cache_kd.sources.decode import attempt, decode
from cache_kd.sources.source import Decoding

BACKENDS = ("pillow/1", "torchvision/1")
PIXELS = np.random.default_rng(0).integers(0, 256, (21, 37, 3), dtype=np.uint8)
COLOUR = Image.fromarray(PIXELS)
GREY = COLOUR.convert("L")


def encoded(image: Image.Image, form: str, **knobs: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **knobs)
    return content.getvalue()


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits per channel, which Pillow cannot write in colour."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, 16, kind, zlib.compress(rows))


def png(width: int, height: int, bits: int, kind: int, data: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def dds_of_no_kind() -> bytes:
    """The header of a DDS file of 4x4 pixels that does not say what its pixels are."""
    return b"DDS " + struct.pack("<31I", 124, 0x1007, 4, 4, *[0] * 14, 32, *[0] * 12)


def grey_and_alpha() -> Image.Image:
    return Image.merge("LA", (GREY, GREY.point(lambda value: 255 - value)))


GREY_AS_RGB = np.asarray(GREY.convert("RGB"))
PALETTE = COLOUR.quantize(16)
FRAMES = {"save_all": True, "append_images": [COLOUR.rotate(180)], "duration": 10}
WIDE = np.random.default_rng(1).integers(0, 2**16, (4, 6, 4), dtype=np.uint16)

# what each file must come to
LOSSLESS = {
    "colour.png": (encoded(COLOUR, "PNG"), PIXELS),
    "colour.bmp": (encoded(COLOUR, "BMP"), PIXELS),
    "colour.ppm": (encoded(COLOUR, "PPM"), PIXELS),
    "colour.tif": (encoded(COLOUR, "TIFF"), PIXELS),
    "colour.webp": (encoded(COLOUR, "WEBP", lossless=True), PIXELS),
    "grey.png": (encoded(GREY, "PNG"), GREY_AS_RGB),
    "grey.pgm": (encoded(GREY, "PPM"), GREY_AS_RGB),
    "grey and alpha.png": (encoded(grey_and_alpha(), "PNG"), GREY_AS_RGB),
    "alpha.png": (encoded(Image.merge("RGBA", (*COLOUR.split(), GREY)), "PNG"), PIXELS),
    "palette.png": (encoded(PALETTE, "PNG"), np.asarray(PALETTE.convert("RGB"))),
    "transparent palette.png": (encoded(PALETTE, "PNG", transparency=b"\0\x80"), np.asarray(PALETTE.convert("RGB"))),
    "one bit.png": (encoded(GREY.convert("1"), "PNG"), np.asarray(GREY.convert("1").convert("RGB"))),
    "16 bits of colour.png": (png16(WIDE[..., :3]), (WIDE[..., :3] >> 8).astype(np.uint8)),
    "16 bits of colour and alpha.png": (png16(WIDE), (WIDE[..., :3] >> 8).astype(np.uint8)),
    "moving.webp": (encoded(COLOUR, "WEBP", lossless=True, **FRAMES), PIXELS),
    "moving.png": (encoded(COLOUR, "PNG", **FRAMES), PIXELS),
    "a png.jpg": (encoded(COLOUR, "PNG"), PIXELS),
    "one pixel.png": (encoded(COLOUR.crop((0, 0, 1, 1)), "PNG"), PIXELS[:1, :1]),
    "Größe und Maß 猫.png": (encoded(COLOUR, "PNG"), PIXELS),
}
JPEGS = {
    "baseline": encoded(COLOUR, "JPEG"),
    "progressive": encoded(COLOUR, "JPEG", progressive=True),
    "whole chroma": encoded(COLOUR, "JPEG", subsampling=0),
    "grey": encoded(GREY, "JPEG"),
    "cmyk": encoded(COLOUR.convert("CMYK"), "JPEG"),
    "one pixel": encoded(COLOUR.crop((0, 0, 1, 1)), "JPEG"),
    "several pictures": encoded(COLOUR, "MPO", save_all=True, append_images=[GREY]),
}


@pytest.fixture
def put(tmp_path):
    """A function that writes a file."""

    def write(content: bytes, name: str = "1.png") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_files_come_to_the_very_pixels_in_rgb(put, name, backend):
    content, expected = LOSSLESS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(put(content, name), Decoding(backend=backend))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", JPEGS)
def test_both_decoders_give_the_same_pixels_of_every_jpeg(put, name):
    file = put(JPEGS[name], "1.jpg")
    by_pillow, by_torchvision = (decode(file, Decoding(backend=backend)) for backend in BACKENDS)
    np.testing.assert_array_equal(by_torchvision, by_pillow)
    expected = GREY_AS_RGB if name == "grey" else PIXELS
    if name != "one pixel":
        # noise at quality 75 with halved chroma: a channel swap or an inverted CMYK would be off by 85
        assert np.abs(by_pillow.astype(int) - expected).mean() < 50


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"\(0 bytes\).*not of any image format"),
        (b"some text", r"\(9 bytes\).*not of any image format"),
        (JPEGS["baseline"][:-60], "truncated"),
        (encoded(COLOUR, "PNG")[:-60], "truncated"),
        (encoded(COLOUR, "PNG")[:60] + b"\xff" * 20 + encoded(COLOUR, "PNG")[80:], "broken"),
        (png16(WIDE[..., :1]), r"has I;16 pixels; expected 8 bits per channel, so convert it"),
        (encoded(Image.fromarray(np.ones((5, 5), np.float32)), "TIFF"), r"has F pixels; expected 8 bits"),
        (encoded(Image.fromarray(np.ones((5, 5), np.int32)), "TIFF"), r"has I pixels; expected 8 bits"),
        (png16(WIDE[..., :2]), r"has LA;16B pixels; expected 8 bits per channel, so convert it"),
        (dds_of_no_kind(), "Unknown pixel format flags 0"),
        (png(60_000, 60_000, 8, 2, b""), r"3600000000 pixels.*decompression bomb"),
    ],
    ids=[
        *("empty", "text", "cut jpeg", "cut png", "damaged png", "16 bits", "float", "int", "16 bits and alpha"),
        *("no kind", "bomb"),
    ],
)
def test_what_has_no_pixels_is_refused_with_its_name_size_and_reason(put, content, words, backend):
    with pytest.raises(SourceError, match=rf"1\.jpg.*cannot be decoded: .*{words}|1\.jpg {words}"):
        decode(put(content, "1.jpg"), Decoding(backend=backend))


def test_what_is_not_there_is_said_to_be_missing(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(SourceError, match=r"link\.png \(missing\) cannot be decoded: No such file"):
        decode(tmp_path / "link.png", Decoding())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become nobody")
def test_a_file_that_may_not_be_read_is_named():
    """In a process of its own that gives up its rights after the imports."""
    code = (
        "import os, pathlib, tempfile\n"
        "from cache_kd.errors import SourceError\n"
        "from cache_kd.sources.decode import attempt\nfrom cache_kd.sources.source import Decoding\n"
        "file = pathlib.Path(tempfile.mkdtemp()) / '1.png'\nfile.write_bytes(b'x'); file.chmod(0)\n"
        "file.parent.chmod(0o755); os.setuid(65534)\n"
        "try:\n    attempt(file, Decoding())\nexcept SourceError as fault:\n    print(fault)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "1.png cannot be read: Permission denied. It may be whole" in out


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright_only_where_that_was_asked_for(put, orientation, form, backend):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = put(encoded(COLOUR, form, exif=exif, **({"lossless": True} if form == "WEBP" else {})), "1.img")
    with Image.open(file) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
        stored = np.asarray(Image.open(file))
    turned = decode(file, Decoding(backend=backend, orientation="exif"))
    np.testing.assert_array_equal(turned, upright)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(decode(file, Decoding(backend=backend)), stored)
    if orientation > 1 and form != "TIFF":  # Pillow turns TIFFs itself
        assert turned.shape != stored.shape or not np.array_equal(turned, stored)


@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_escapes_as_another_error(data, tmp_path_factory):
    """Some bytes of a file changed, the end cut off: a sentence, or pixels, which both decoders agree about."""
    form = data.draw(st.sampled_from(["JPEG", "TIFF", "PNG", "WEBP"]))
    content = bytearray(encoded(COLOUR, form))
    for place in data.draw(st.lists(st.integers(0, min(len(content), 700) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.img"
    file.write_bytes(content[: len(content) - data.draw(st.integers(0, 100))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about tags that it does not understand
        outcomes = [attempt(file, Decoding(backend=backend, orientation="exif")) for backend in BACKENDS]
    pictures = [outcome for outcome in outcomes if not isinstance(outcome, SourceError)]
    if len(pictures) == 2:
        np.testing.assert_array_equal(*pictures)


def test_a_decoder_without_its_version_is_todays():
    assert Decoding(backend="torchvision") == Decoding(backend="torchvision/1")
    with pytest.raises(ConfigError, match=r"backend: .*'pillow/1' or 'torchvision/1'.*found 'opencv'"):
        build(Decoding, {"backend": "opencv"})


@pytest.mark.slow
def test_torchvision_is_imported_only_where_it_decodes(put):
    file = put(encoded(COLOUR, "JPEG"), "1.jpg")
    code = (
        "import sys, pathlib\nfrom cache_kd.sources.decode import decode\n"
        "from cache_kd.sources.source import Decoding\n"
        f"decode(pathlib.Path({str(file)!r}), Decoding())\nprint('torchvision' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
