"""Every logit as one of 256 levels between its row's smallest and largest: 1 byte each, and 8 for the row."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from cache_kd.store.codec import Answers, Bounds, Codec, CodecArray, EncodedTensors, refuse_unfinite
from cache_kd.store.quantise import Quantiser, extremes, refuse_beyond_range
from cache_kd.types import Logits


class UInt8(Codec):
    """256 levels per row, both extremes exact.

    Attributes:
        top_step: the step beside the largest logit, as a share of range / 255, 0 < top_step <= 1. 1 spaces the levels
            evenly (affine); below, they are companded: finer where the softmax looks, coarser far down.
    """

    name: Literal["uint8"] = "uint8"
    top_step: Annotated[float, Field(gt=0, le=1)] = 1.0

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """The codes, and smallest and largest logit of each row."""
        return CodecArray("codes", classes, "uint8"), CodecArray("extremes", 2, "float32")

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The nearest level of each logit."""
        logits = answers.logits
        refuse_unfinite(logits)
        refuse_beyond_range(logits)
        low, high = extremes(logits)
        return {"codes": self._quantiser.codes(logits, low, high), "extremes": torch.cat([low, high], dim=1)}

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """The levels."""
        del classes
        low, high = arrays["extremes"][:, :1], arrays["extremes"][:, 1:]
        return self._quantiser.logits(arrays["codes"], low, high)

    def error_bound(self, answers: Answers) -> Bounds:
        """Half of the row's coarsest step, (2 - top_step) * range / 510."""
        return self._quantiser.error_bound(*extremes(answers.logits)).cpu().numpy()

    @property
    def _quantiser(self) -> Quantiser:
        return Quantiser(255, self.top_step)
