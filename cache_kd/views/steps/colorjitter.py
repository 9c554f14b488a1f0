"""Colour jitter: brightness, contrast, saturation and hue by random factors, in random order."""

from typing import Literal

from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.jitter import JITTER_WORDS, draw_jitter, jitter
from cache_kd.views.limits import FactorLimits, TurnLimits
from cache_kd.views.step import Step


class ColorJitter(Step):
    """Four changes of colour as in torchvision's ColorJitter; the defaults are the strengths of MoCo v2.

    Grey pictures have neither saturation nor hue to change. Knobs: which change comes first to fourth (0 brightness,
    1 contrast, 2 saturation, 3 hue), then the four factors in 1/65536.

    Attributes:
        brightness: least and greatest factor, 0 ... 100, 1 for no change; a single number x means 1 - x ... 1 + x.
        contrast: likewise.
        saturation: likewise.
        hue: least and greatest turn of the circle of hues, -0.5 ... 0.5; a single number x means -x ... x.

    References:
        Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020.
    """

    name: Literal["colorjitter"] = "colorjitter"
    brightness: FactorLimits = (0.6, 1.4)
    contrast: FactorLimits = (0.6, 1.4)
    saturation: FactorLimits = (0.6, 1.4)
    hue: TurnLimits = (-0.1, 0.1)

    @property
    def word_count(self) -> int:
        """The order, then a factor for each change."""
        return JITTER_WORDS

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Order and factors are uniform, whatever the size."""
        del height, width
        return draw_jitter(words, (self.brightness, self.contrast, self.saturation, self.hue))

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """One change after the other, in the order of each row."""
        return jitter(pixels, knobs)
