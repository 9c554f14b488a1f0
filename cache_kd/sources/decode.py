"""Image files to RGB pixels, by the decoder that was asked for; what cannot be decoded is said in one sentence."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from cache_kd.errors import SourceError
from cache_kd.sources.source import Decoding
from cache_kd.types import AnyPicture, Picture

# what Pillow raises on broken files: what it catches itself where it tries format after format, and ValueError
BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, struct.error, Image.DecompressionBombError)

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


def decode(file: Path, how: Decoding) -> Picture:
    """The image in `file`, RGB: grey and palettes are expanded, transparency is dropped, the first frame is taken.

    Of 16 bits per colour channel the upper 8 are kept. Grey pictures of more than 8 bits are refused: they have no
    agreed range. More pixels than `PIL.Image.MAX_IMAGE_PIXELS` times two are refused.

    Raises:
        SourceError: the file is missing or broken, or holds what has no 8-bit RGB form.
    """
    try:
        # the header always by Pillow, in 0.05 ms: both decoders then refuse the same files
        with Image.open(file) as image:
            if image.mode[0] in "IF":
                raise ValueError(f"it has {image.mode} pixels; expected 8 bits per channel, so convert it")
            by_torchvision = how.backend == "torchvision/1" and image.format in JPEG
            pixels = _by_torchvision(file) if by_torchvision else _by_pillow(image)
            return _upright(pixels, image) if how.orientation == "exif" else pixels
    except BROKEN as fault:
        raise SourceError(f"{file} ({_size(file)}) cannot be decoded: {_reason(fault)}") from None


def attempt(file: Path, how: Decoding) -> Picture | SourceError:
    """The image in `file`, or why there is none: for many files, of which all are tried."""
    try:
        return decode(file, how)
    except SourceError as fault:
        return fault


def _by_pillow(image: Image.Image) -> Picture:
    # Pillow asks for this detour where single palette colours are transparent
    whole = image.convert("RGBA") if "transparency" in image.info else image
    return np.asarray(whole.convert("RGB"))


def _by_torchvision(file: Path) -> Picture:
    # a second or two to import, so only for whoever asks for it
    import torch
    from torchvision.io import ImageReadMode

    content = torch.from_numpy(np.fromfile(file, dtype=np.uint8))
    try:
        # the operator itself: the function around it warns, picture by picture, that it will leave torchvision
        decoded = torch.ops.image.decode_jpeg(content, ImageReadMode.RGB.value)
    except RuntimeError as fault:
        # "decode_jpeg, <where in its source>, <what is wrong>"
        raise ValueError(str(fault).splitlines()[0].split(", ", 2)[-1]) from None
    pixels: Picture = decoded.permute(1, 2, 0).numpy()
    return pixels


def _upright(pixels: Picture, image: Image.Image) -> AnyPicture:
    # asked after the pixels: Pillow turns TIFFs while it reads them, and then takes the tag away
    turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def _size(file: Path) -> str:
    try:
        return f"{os.stat(file).st_size} bytes"
    except OSError:
        return "missing"


def _reason(fault: BaseException) -> str:
    if isinstance(fault, UnidentifiedImageError):
        return "it is not of any image format that Pillow knows"
    return (isinstance(fault, OSError) and fault.strerror) or str(fault)
