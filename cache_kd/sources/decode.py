"""Image files to RGB pixels, by the decoder that was asked for; what cannot be decoded is said in one sentence."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from cache_kd.errors import SourceError
from cache_kd.sources.source import Decoding
from cache_kd.types import AnyPicture, Picture

# as Pillow names them; MPO is a JPEG with more pictures behind the first, as some cameras write it.
# Not PNG: torchvision 0.29 ends the process on some damaged ones. 44,000 damaged JPEGs it took or refused
JPEG = ("JPEG", "MPO")

# by the value of the EXIF tag; 1 is upright
UPRIGHT: dict[object, Callable[[Picture], AnyPicture]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}


class BrokenPicture(SourceError):
    """A file that holds no picture whenever it is read; one that is only out of reach now is not of this kind."""


def decode(file: Path, how: Decoding) -> Picture:
    """The image in `file`, RGB: grey and palettes are expanded, transparency is dropped, the first frame is taken.

    Of 16 bits per colour channel the upper 8 are kept. Grey pictures of more than 8 bits are refused: they have no
    agreed range. More pixels than `PIL.Image.MAX_IMAGE_PIXELS` times two are refused.

    Raises:
        BrokenPicture: the file is missing or broken, or holds what has no 8-bit RGB form.
        SourceError: it cannot be read now, or memory is short.
    """
    # read first, so that an error of the disk is told from one of the decoder: Pillow raises OSError for both
    content = _read(file)
    try:
        # the header always by Pillow, in 0.05 ms: both decoders then refuse the same files
        with Image.open(io.BytesIO(content)) as image:
            deep = _deep_grey(image)
            if deep:
                raise ValueError(f"it has {deep} pixels; expected 8 bits per channel, so convert it")
            by_torchvision = how.backend == "torchvision/1" and image.format in JPEG
            pixels = _by_torchvision(content) if by_torchvision else _by_pillow(image)
            return _upright(pixels, image) if how.orientation == "exif" else pixels
    except MemoryError:
        raise SourceError(f"{file} ({len(content)} bytes) takes more memory to decode than there is.") from None
    except Exception as fault:  # whatever it is: each of Pillow's formats has errors of its own for damage
        raise BrokenPicture(f"{file} ({len(content)} bytes) cannot be decoded: {_reason(fault)}") from None


def attempt(file: Path, how: Decoding) -> Picture | BrokenPicture:
    """The image in `file`, or why there is none: for many files, of which all are tried.

    Raises:
        SourceError: the file cannot be read now, or memory is short.
    """
    try:
        return decode(file, how)
    except BrokenPicture as fault:
        return fault


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as fault:
        raise BrokenPicture(f"{file} (missing) cannot be decoded: {fault.strerror}") from None
    except OSError as fault:
        raise SourceError(
            f"{file} cannot be read: {fault.strerror}. It may be whole, so it is not left out: mend what keeps it from "
            "being read, and repeat the command, or remove the file."
        ) from None


def _deep_grey(image: Image.Image) -> str | None:
    """Pillow's name of grey pixels of more than 8 bits, or None."""
    if image.mode[0] in "IF":
        return image.mode
    # of grey and alpha Pillow takes the upper 8 bits, and tells it of its reading only
    return next((tile.args for tile in getattr(image, "tile", ()) if tile.args == "LA;16B"), None)


def _by_pillow(image: Image.Image) -> Picture:
    # Pillow asks for this detour where single palette colours are transparent
    whole = image.convert("RGBA") if "transparency" in image.info else image
    return np.asarray(whole.convert("RGB"))


def _by_torchvision(content: bytes) -> Picture:
    # a second or two to import, so only for whoever asks for it
    import torch
    from torchvision.io import ImageReadMode

    # bytearray: torch warns of memory that may not be written to
    encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    try:
        # the operator itself: the function around it warns, picture by picture, that it will leave torchvision
        decoded = torch.ops.image.decode_jpeg(encoded, ImageReadMode.RGB.value)
    except RuntimeError as fault:
        # "decode_jpeg, <where in its source>, <what is wrong>"
        raise ValueError(str(fault).splitlines()[0].split(", ", 2)[-1]) from None
    pixels: Picture = decoded.permute(1, 2, 0).numpy()
    return pixels


def _upright(pixels: Picture, image: Image.Image) -> AnyPicture:
    # asked after the pixels: Pillow turns TIFFs while it reads them, and then takes the tag away
    turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def _reason(fault: Exception) -> str:
    if isinstance(fault, UnidentifiedImageError):
        return "it is not of any image format that Pillow knows"
    return str(fault) or type(fault).__name__
