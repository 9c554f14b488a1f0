"""3-Augment: grey, solarised or blurred, then a little colour jitter."""

from typing import Literal

import numpy as np
import torch

from cache_kd.keyed.philox import below
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words
from cache_kd.views.jitter import JITTER_WORDS, draw_jitter, jitter
from cache_kd.views.limits import FactorLimits
from cache_kd.views.ops.blur import SIGMA_MAX, SIGMA_STEPS, gaussian_blur
from cache_kd.views.ops.colour import grey
from cache_kd.views.ops.pointwise import solarize
from cache_kd.views.step import Step

GREY, SOLARIZE, BLUR = range(3)
SIGMA_MIN = round(0.1 * SIGMA_STEPS)  # which blurs nothing


class ThreeAugment(Step):
    """One of grey, solarize (values of 128 and more are inverted) and Gaussian blur, then colour jitter.

    The kernel's width is uniform in 0.1 ... 2 pixels, in steps of 1/256. The authors' library replaces the Gaussian
    by three boxes; here it is the Gaussian itself. Knobs: which of the three, the width in 1/256 pixel, then those of
    the jitter.

    Attributes:
        jitter: least and greatest factor of brightness, contrast and saturation; a single number x means
            1 - x ... 1 + x.

    References:
        Touvron et al., DeiT III: Revenge of the ViT, ECCV 2022.
    """

    name: Literal["threeaugment"] = "threeaugment"
    jitter: FactorLimits = (0.7, 1.3)

    @property
    def word_count(self) -> int:
        """Which of the three, the width, then the jitter."""
        return 2 + JITTER_WORDS

    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """Each of the three is as likely, whatever the size; a width is drawn for every row."""
        del height, width
        choice, sigma = below(words[:, :2], np.array([3, SIGMA_MAX - SIGMA_MIN + 1])).T
        limits = (self.jitter, self.jitter, self.jitter, (0.0, 0.0))
        return np.column_stack([choice, SIGMA_MIN + sigma, draw_jitter(words[:, 2:], limits)])

    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """The rows that have the same of the three go together."""
        choice, sigma = knobs[:, 0], knobs[:, 1]
        changed = torch.empty_like(pixels, memory_format=torch.contiguous_format)
        to_grey, to_solarize, to_blur = ((choice == number).nonzero()[:, 0] for number in (GREY, SOLARIZE, BLUR))
        changed[to_grey] = grey(pixels[to_grey])
        changed[to_solarize] = solarize(pixels[to_solarize], torch.full_like(to_solarize, 128))
        changed[to_blur] = gaussian_blur(pixels[to_blur], sigma[to_blur])
        return jitter(changed, knobs[:, 2:])
