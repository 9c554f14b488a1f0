"""The augmentation of the ImageNet literature: a crop of random area and shape, resized, flipped."""

import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field

from cache_kd.errors import ConfigError
from cache_kd.types import Knobs, Picture, Pictures, Sizes, View, Views, Words
from cache_kd.views.frame import Frame
from cache_kd.views.philox import below, unit

TRIES = 10  # as in torchvision, before the central crop
WORDS_PER_TRY = 4  # area, ratio, top, left

# Pillow releases the GIL while it resizes; the number of threads changes no pixel
THREADS = min(8, os.cpu_count() or 1)

Share = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(ge=0.01, le=100)]  # within the reach of `exp`


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the lower limit comes first")
    return limits


class RandomResizedCrop(Frame):
    """A crop of `scale` of the area and `ratio` width / height, resized to `size` x `size`; half are mirrored.

    The distribution is that of torchvision's RandomResizedCrop. Test images: shorter side to `size` * 256 / 224,
    then the centre. Colour or grey pictures of any size. Knobs: top, left, height, width, mirrored.

    Attributes:
        size: side of the views, pixels.
        scale: least and greatest share of the picture's area.
        ratio: least and greatest width / height of the crop.
        resize: crop first, then width, then height, each its own call: this gives the same pixels on all Pillow
            releases tried, 9.4 to 13.0; a single call does not.
    """

    name: Literal["rrc"] = "rrc"
    size: Annotated[int, Field(ge=1)] = 224
    scale: Annotated[tuple[Share, Share], AfterValidator(_ordered)] = (0.08, 1.0)
    ratio: Annotated[tuple[Ratio, Ratio], AfterValidator(_ordered)] = (3 / 4, 4 / 3)
    resize: Literal["pillow-bilinear-width-height/1"] = "pillow-bilinear-width-height/1"

    @property
    def word_count(self) -> int:
        """Four for each try, one for the flip."""
        return TRIES * WORDS_PER_TRY + 1

    @property
    def cpu_only(self) -> bool:
        """An image library resizes."""
        return True

    def draw(self, words: Words, sizes: Sizes) -> Knobs:
        """The first of ten tries that fits the picture, else the largest central crop of an allowed ratio."""
        tries = words[:, :-1].reshape(-1, TRIES, WORDS_PER_TRY)
        area_word, ratio_word, top_word, left_word = tries.transpose(2, 0, 1)
        picture_height, picture_width = sizes[:, :1], sizes[:, 1:]
        area = picture_height * picture_width * _between(self.scale, area_word)
        ratio = exp(_between((log(self.ratio[0]), log(self.ratio[1])), ratio_word))
        height = np.rint(np.sqrt(area / ratio)).astype(np.int64)
        width = np.rint(np.sqrt(area * ratio)).astype(np.int64)
        fits = (height > 0) & (height <= picture_height) & (width > 0) & (width <= picture_width)
        top = below(top_word, np.maximum(picture_height - height + 1, 1))
        left = below(left_word, np.maximum(picture_width - width + 1, 1))
        first = fits.argmax(1)
        boxes = np.stack([top, left, height, width], axis=2)[np.arange(len(words)), first]
        boxes = np.where(fits.any(1)[:, None], boxes, self._central(sizes))
        return np.column_stack([boxes, below(words[:, -1], 2)])

    def render(self, pictures: Pictures, knobs: Knobs) -> Views:
        """One picture at a time, in a few threads."""

        def view(picture: Picture, knob: NDArray[np.int64]) -> View:
            top, left, height, width, mirrored = knob.tolist()
            resized = _resize(picture[top : top + height, left : left + width], self.size, self.size)
            return resized[:, ::-1] if mirrored else resized

        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(view, pictures, knobs)))

    def evaluate(self, pictures: Pictures) -> Views:
        """Shorter side to `size` * 256 / 224, then the central `size` x `size`."""
        short_side = self.size * 256 // 224

        def view(picture: Picture) -> View:
            height, width = picture.shape[:2]
            shorter = min(height, width)
            resized = _resize(picture, short_side * height // shorter, short_side * width // shorter)
            # half a pixel goes to the even side, as torchvision's CenterCrop has it
            top, left = (round((side - self.size) / 2) for side in resized.shape[:2])
            return resized[top : top + self.size, left : left + self.size]

        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(view, pictures)))

    def _central(self, sizes: Sizes) -> NDArray[np.int64]:
        picture_height, picture_width = sizes.T
        least, greatest = self.ratio
        height = np.minimum(picture_height, np.rint(picture_width / least)).astype(np.int64)
        width = np.minimum(picture_width, np.rint(picture_height * greatest)).astype(np.int64)
        height, width = np.maximum(height, 1), np.maximum(width, 1)
        return np.stack([(picture_height - height) // 2, (picture_width - width) // 2, height, width], axis=1)


def exp(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """e to the `power` for |power| < 5, from additions, products and quotients only.

    Those are rounded alike everywhere; the last bit of a library's `exp` depends on processor and
    release, and has moved crops by many pixels.
    """
    total = np.ones_like(power)
    for term in range(40, 0, -1):
        total = 1 + total * power / term
    return total


def log(value: float) -> float:
    """The natural logarithm, rounded alike everywhere because `decimal` rounds correctly."""
    return float(Decimal(value).ln())


def _between(limits: tuple[float, float], words: NDArray[np.uint32]) -> NDArray[np.float64]:
    low, high = limits
    return low + (high - low) * unit(words)


def _resize(picture: Picture, height: int, width: int) -> View:
    channels = picture.shape[2]
    if channels not in (1, 3):
        raise ConfigError(f"The recipe 'rrc' takes grey or RGB images; these have {channels} channels.")
    image = Image.fromarray(np.ascontiguousarray(picture if channels == 3 else picture[:, :, 0]))
    image = image.resize((width, image.height), Image.Resampling.BILINEAR)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, channels)
