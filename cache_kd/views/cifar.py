"""The augmentation of the CIFAR literature: zero-pad, crop back to the image's own size, flip."""

from typing import Annotated, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, Pictures, Pixels, PixelTensor, Sizes, Views, ViewTensor, Words
from cache_kd.views.frame import Frame, one_size

# pictures at a time: scratch space then stays in the cache and on the heap. At 512 pictures of 32x32x3 this takes
# 1.6 us each, all at once 7 us, most of it for fresh pages from the kernel
BLOCK = 64


class Cifar(Frame):
    """Zero-pad by `pad` pixels on every side, crop at random, mirror half of the views left to right.

    Any size and number of channels, but one size for all images. Knobs: top, left, mirrored.
    """

    name: Literal["cifar"] = "cifar"
    pad: Annotated[int, Field(ge=0, le=1000)] = 4  # at 1000 a block of 32x32x3 takes 0.8 GB

    @property
    def word_count(self) -> int:
        """Top, left, mirrored."""
        return 3

    def draw(self, words: Words, sizes: Sizes) -> Knobs:
        """Top and left 0 … 2 `pad`, mirrored 0 or 1: each uniform, independent of the size."""
        del sizes
        places = 2 * self.pad + 1
        return below(words, np.array([places, places, 2]))

    def render(self, pictures: Pictures, knobs: Knobs) -> Views:
        """Block by block; within one, each crop is a window into its padded picture."""
        pixels = one_size(pictures, self.name)
        starts = range(0, max(len(pixels), 1), BLOCK)
        return np.concatenate([self._block(pixels[at : at + BLOCK], knobs[at : at + BLOCK]) for at in starts])

    def render_tensor(self, pixels: PixelTensor, knobs: KnobTensor) -> ViewTensor:
        """One gather of whole pixels from the padded pictures."""
        batch, height, width, _ = pixels.shape
        padded = torch.nn.functional.pad(pixels, (0, 0, self.pad, self.pad, self.pad, self.pad))
        top, left, mirrored = knobs.T[:, :, None]
        row = top + torch.arange(height, device=pixels.device)
        column = torch.arange(width, device=pixels.device)
        column = left + torch.where(mirrored > 0, width - 1 - column, column)
        return padded[torch.arange(batch, device=pixels.device)[:, None, None], row[:, :, None], column[:, None, :]]

    def evaluate(self, pictures: Pictures) -> Views:
        """The pictures themselves."""
        return one_size(pictures, self.name)

    def _block(self, pixels: Pixels, knobs: Knobs) -> Pixels:
        batch, height, width, channels = pixels.shape
        top, left, mirrored = knobs.T
        # a row of pixels is one run of bytes, so that a crop copies `height` long runs, not single pixels
        padded = self._pad(pixels).reshape(batch, height + 2 * self.pad, -1)
        windows = sliding_window_view(padded, (height, width * channels), axis=(1, 2))
        crops: Pixels = windows[np.arange(batch), top, left * channels].reshape(pixels.shape)
        _mirror(crops, np.flatnonzero(mirrored))
        return crops

    def _pad(self, pixels: Pixels) -> NDArray[np.uint8]:
        batch, height, width, channels = pixels.shape
        padded = np.zeros((batch, height + 2 * self.pad, width + 2 * self.pad, channels), dtype=np.uint8)
        padded[:, self.pad : self.pad + height, self.pad : self.pad + width] = pixels
        return padded


def _mirror(pixels: Pixels, rows: NDArray[np.int64]) -> None:
    """Turn `rows` left to right, in place."""
    straight = pixels[rows]
    turned = np.empty_like(straight)
    # one channel at a time: numpy's inner loop over three values is five times slower
    for channel in range(pixels.shape[3]):
        turned[..., channel] = straight[:, :, ::-1, channel]
    pixels[rows] = turned
