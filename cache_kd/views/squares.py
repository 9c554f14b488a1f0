"""Boxes of pictures of any size become squares of one size, mirrored or not; test pictures their centres."""

import numpy as np
from numpy.typing import NDArray

from cache_kd.errors import ConfigError
from cache_kd.threads import map_in_threads
from cache_kd.types import Knobs, Picture, Pictures, View, Views
from cache_kd.views.resize import Backend, resize

# pixels of a whole test picture, before its centre is cut out; in colour they take 1 GB and 2.5 s. At 224, where it is
# resized to 256, a picture reaches them when it is 1525 times as long as wide; 4 times is taken at any size
MOST_PIXELS = 100_000_000
ALWAYS_TAKEN = 4


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
        ConfigError: as for `boxes_as_squares`, or a picture is so long that it would have over 100 million pixels.
    """
    short_side = size * 256 // 224
    most = max(MOST_PIXELS, ALWAYS_TAKEN * short_side**2)

    def view(shown: tuple[int, Picture]) -> View:
        place, picture = shown
        height, width = picture.shape[:2]
        shorter = min(height, width)
        tall, wide = short_side * height // shorter, short_side * width // shorter
        if tall * wide > most:
            raise ConfigError(
                f"Test picture {place} of a batch is {width}x{height} pixels, and would be {wide:,}x{tall:,} before "
                f"its centre is cut out; at most {most:,} in all are taken. Crop it so that it is at most "
                f"{most // short_side**2} times as long as wide, or leave it out."
            )
        resized = resize(picture, tall, wide, backend)
        # half a pixel goes to the even side, as torchvision's CenterCrop has it
        top, left = (round((side - size) / 2) for side in resized.shape[:2])
        return resized[top : top + size, left : left + size]

    return np.stack(map_in_threads(view, enumerate(pictures)))
