"""No augmentation: every view is the image itself."""

from typing import Literal

import numpy as np

from cache_kd.types import Knobs, KnobTensor, Pictures, PixelTensor, Sizes, Views, ViewTensor, Words
from cache_kd.views.frame import Frame, one_size


class Unchanged(Frame):
    """The image as the source gives it; all images must have one size. No knobs."""

    name: Literal["none"] = "none"

    @property
    def word_count(self) -> int:
        """None."""
        return 0

    def draw(self, words: Words, sizes: Sizes) -> Knobs:
        """Nothing to decide."""
        del sizes
        return np.empty((len(words), 0), dtype=np.int64)

    def render(self, pictures: Pictures, knobs: Knobs) -> Views:
        """The pictures themselves."""
        del knobs
        return one_size(pictures, self.name)

    def render_tensor(self, pixels: PixelTensor, knobs: KnobTensor) -> ViewTensor:
        """The pictures themselves."""
        del knobs
        return pixels

    def evaluate(self, pictures: Pictures) -> Views:
        """The pictures themselves."""
        return one_size(pictures, self.name)
