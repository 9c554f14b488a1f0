"""Random erasing: a box of random area and shape, filled with one value or with noise."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import WORDS_PER_BLOCK, philox4x32
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.box import BOX_WORDS, box_tries, first_fitting
from cache_kd.views.limits import RatioLimits, ShareLimits
from cache_kd.views.ops.inside import in_box
from cache_kd.views.step import Step

Byte = Annotated[int, Field(ge=0, le=255)]
BYTES_PER_BLOCK = 4 * WORDS_PER_BLOCK


class Erasing(Step):
    """Fill a box on a share `p` of the views; area and shape are distributed as in torchvision's RandomErasing.

    Knobs: top, left, height and width of the box, 0 high where nothing is erased; with noise, its two key words.

    Attributes:
        p: share of the views.
        scale: least and greatest share of the view's area.
        ratio: least and greatest height / width.
        value: of the erased pixels: one for all channels, one for each, or "noise" for uniform random ones.

    References:
        Zhong et al., Random Erasing Data Augmentation, AAAI 2020.
    """

    name: Literal["erasing"] = "erasing"
    p: Annotated[float, Field(ge=0, le=1)] = 0.5
    scale: ShareLimits = (0.02, 0.33)
    ratio: RatioLimits = (0.3, 3.3)
    value: Byte | tuple[Byte, Byte, Byte] | Literal["noise"] = 0

    @property
    def word_count(self) -> int:
        """Whether to erase, the box, and two for the noise."""
        return 1 + BOX_WORDS + (2 if self.value == "noise" else 0)

    @property
    def takes_any_channels(self) -> bool:
        """One value and noise fit them all; three values are checked by `apply`."""
        return True

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """The first of ten tries that is smaller than the view on both sides, else nothing."""
        sizes = np.tile([height, width], (len(words), 1))
        lowest, highest = self.ratio
        # boxes are drawn by width / height
        tries = box_tries(words[:, 1 : 1 + BOX_WORDS], sizes, self.scale, (1 / highest, 1 / lowest))
        erased = words[:, :1] < self.p * 2.0**32
        fits = np.all(tries[:, :, 2:] < sizes[:, None], axis=2) & erased
        boxes = first_fitting(tries, fits, np.zeros((len(words), 4), dtype=np.int64))
        return np.column_stack([boxes, words[:, 1 + BOX_WORDS :]])

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """Whole numbers into the box; noise is made only where it is shown.

        Raises:
            ConfigError: three values for views that are not RGB.
        """
        inside = in_box(knobs[:, :4], *pixels.shape[1:])
        if self.value == "noise":
            return pixels.masked_scatter(inside.bool(), _noise(knobs, pixels.shape[3]))
        if isinstance(self.value, tuple) and pixels.shape[3] != len(self.value):
            raise ConfigError(
                f"erasing: value: {list(self.value)} is for the 3 channels of RGB; these views have {pixels.shape[3]}. "
                "Give one value, or 'noise'."
            )
        fill = torch.tensor(self.value, dtype=torch.uint8, device=pixels.device)
        return pixels ^ (pixels ^ fill).bitwise_and_(inside)


def _noise(knobs: KnobTensor, channels: int) -> Tensor:
    """Random bytes for all boxes, one after the other; those of a box depend on its two key words only."""
    count = knobs[:, 2] * knobs[:, 3] * channels
    blocks = (count + BYTES_PER_BLOCK - 1) // BYTES_PER_BLOCK
    row = torch.arange(len(knobs), device=knobs.device).repeat_interleave(blocks)
    block = torch.arange(len(row), device=knobs.device) - (blocks.cumsum(0) - blocks)[row]
    low, high = knobs[row, 4:].T
    words = torch.stack(philox4x32((block, low, high, torch.zeros_like(block)), (0, 0)), dim=1)
    places = torch.arange(BYTES_PER_BLOCK, device=knobs.device)
    shown = block[:, None] * BYTES_PER_BLOCK + places < count[row, None]
    return (words[:, places // 4] >> 8 * (places % 4)).to(torch.uint8)[shown]
