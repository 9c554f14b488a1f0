"""Boxes of pictures of any size become squares of one size, mirrored or not; test pictures their centres."""

import numpy as np
from numpy.typing import NDArray

from cache_kd.threads import map_in_threads
from cache_kd.types import Knobs, Picture, Pictures, View, Views
from cache_kd.views.resize import Backend, resize


def boxes_as_squares(pictures: Pictures, knobs: Knobs, size: int, backend: Backend) -> Views:
    """A box of each picture at `size` x `size`; one picture at a time, in a few threads: backends release the GIL.

    Args:
        pictures: grey or RGB.
        knobs: top, left, height, width of the box in pixels, and whether it is mirrored, 0 or 1.
        size: side of the views, pixels.
        backend: what resizes.

    Raises:
        ConfigError: the pictures have another number of channels.
    """

    def view(shown: tuple[Picture, NDArray[np.int64]]) -> View:
        picture, knob = shown
        top, left, height, width, mirrored = knob.tolist()
        resized = resize(picture[top : top + height, left : left + width], size, size, backend)
        return resized[:, ::-1] if mirrored else resized

    return np.stack(map_in_threads(view, zip(pictures, knobs, strict=True)))


def centres_as_squares(pictures: Pictures, size: int, backend: Backend) -> Views:
    """Shorter side to `size` * 256 / 224, then the central `size` x `size`, as the ImageNet literature tests.

    Raises:
        ConfigError: as for `boxes_as_squares`.
    """
    short_side = size * 256 // 224

    def view(picture: Picture) -> View:
        height, width = picture.shape[:2]
        shorter = min(height, width)
        resized = resize(picture, short_side * height // shorter, short_side * width // shorter, backend)
        # half a pixel goes to the even side, as torchvision's CenterCrop has it
        top, left = (round((side - size) / 2) for side in resized.shape[:2])
        return resized[top : top + size, left : left + size]

    return np.stack(map_in_threads(view, pictures))
