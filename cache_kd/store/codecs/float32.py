"""Every logit as the teacher gave it: 4 bytes each, no error."""

from typing import ClassVar, Literal

import numpy as np

from cache_kd.store.codec import Answers, Bounds, Codec, CodecArray, EncodedTensors, refuse_unfinite
from cache_kd.types import Logits


class Float32(Codec):
    """IEEE single precision, bit for bit."""

    lossless: ClassVar[bool] = True

    name: Literal["float32"] = "float32"

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """One dense array."""
        return (CodecArray("dense", classes, "float32"),)

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The logits themselves."""
        refuse_unfinite(answers.logits)
        return {"dense": answers.logits}

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """A copy of the stored rows."""
        del classes
        return arrays["dense"].clone()

    def error_bound(self, answers: Answers) -> Bounds:
        """Zero."""
        return np.zeros(len(answers.logits), dtype=np.float32)
