"""The augmentation of the ImageNet literature: a crop of random area and shape, resized, flipped."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, Pictures, Sizes, Views, Words
from cache_kd.views.box import BOX_WORDS, box_tries, first_fitting
from cache_kd.views.frame import Frame
from cache_kd.views.limits import RatioLimits, ShareLimits, Side
from cache_kd.views.resize import Backend
from cache_kd.views.squares import boxes_as_squares, centres_as_squares


class RandomResizedCrop(Frame):
    """A crop of `scale` of the area and `ratio` width / height, resized to `size` x `size`; half are mirrored.

    The distribution is that of torchvision's RandomResizedCrop. Test images: shorter side to `size` * 256 / 224,
    then the centre. Colour or grey pictures of any size. Knobs: top, left, height, width, mirrored.

    Attributes:
        size: side of the views, pixels.
        scale: least and greatest share of the picture's area.
        ratio: least and greatest width / height of the crop.
        resize: what resizes, for test images too. "pillow-bilinear-width-height/1" and its bicubic sister resize the
            crop's width, then its height, each in a call of its own: this gives the same pixels on all Pillow releases
            tried, 9.4 to 13.0, and on processors with and without AVX; a single call does not. torchvision's kernel
            takes a third of the time, and gives the same pixels on torch 2.13 and 2.15 with AVX2; without AVX2, or
            on torch 1.13, 12 % of them are off by one.
    """

    name: Literal["rrc"] = "rrc"
    size: Side = 224
    scale: ShareLimits = (0.08, 1.0)
    ratio: RatioLimits = (3 / 4, 4 / 3)
    resize: Backend = "pillow-bilinear-width-height/1"

    @property
    def word_count(self) -> int:
        """Four for each try, one for the flip."""
        return BOX_WORDS + 1

    @property
    def cpu_only(self) -> bool:
        """An image library resizes."""
        return True

    def draw(self, words: Words, sizes: Sizes) -> Knobs:
        """The first of ten tries that fits the picture, else the largest central crop of an allowed ratio."""
        tries = box_tries(words[:, :BOX_WORDS], sizes, self.scale, self.ratio)
        sides = tries[:, :, 2:]
        fits = np.all((sides > 0) & (sides <= sizes[:, None]), axis=2)
        boxes = first_fitting(tries, fits, self._central(sizes))
        return np.column_stack([boxes, below(words[:, BOX_WORDS], 2)])

    def render(self, pictures: Pictures, knobs: Knobs) -> Views:
        """Cropped, resized, mirrored."""
        return boxes_as_squares(pictures, knobs, self.size, self.resize)

    def evaluate(self, pictures: Pictures) -> Views:
        """Shorter side to `size` * 256 / 224, then the central `size` x `size`."""
        return centres_as_squares(pictures, self.size, self.resize)

    def _central(self, sizes: Sizes) -> NDArray[np.int64]:
        picture_height, picture_width = sizes.T
        least, greatest = self.ratio
        height = np.minimum(picture_height, np.rint(picture_width / least)).astype(np.int64)
        width = np.minimum(picture_width, np.rint(picture_height * greatest)).astype(np.int64)
        height, width = np.maximum(height, 1), np.maximum(width, 1)
        return np.stack([(picture_height - height) // 2, (picture_width - width) // 2, height, width], axis=1)
