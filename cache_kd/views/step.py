"""What every step is: something done to views of one size after they were framed, in integers, on any device."""

from abc import ABC, abstractmethod
from typing import Literal

from cache_kd.config import Config
from cache_kd.types import Knobs, KnobTensor, PixelTensor, Words


class Step(Config, ABC):
    """A frozen config that draws integer knobs and applies them; one file of `steps` with the name in `name`.

    `apply` computes in integers, so that processor, device, batch and library release change no pixel.
    """

    name: str
    # a step whose pixels change counts up, so that an old store is refused, not misread
    version: Literal[1] = 1

    @property
    @abstractmethod
    def word_count(self) -> int:
        """32-bit random words that `draw` takes per view."""

    @property
    def takes_any_channels(self) -> bool:
        """Whether views may be other than grey or RGB; False where a step knows colours."""
        return False

    @abstractmethod
    def draw(self, words: Words, height: int, width: int) -> Knobs:
        """The knobs of each row, from `word_count` random words each and the size of the views in pixels."""

    @abstractmethod
    def apply(self, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
        """The changed pixels, on the device of both; `pixels` are not changed in place.

        They are grey or RGB, unless the step takes any channels.
        """
