"""Every logit as the teacher gave it: 4 bytes each, no error."""

from typing import Literal

import numpy as np

from cache_kd.store.codec import Bounds, Codec, CodecArray, EncodedTensors, refuse_unfinite
from cache_kd.types import Logits


class Float32(Codec):
    """IEEE single precision, bit for bit."""

    name: Literal["float32"] = "float32"

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """One dense array."""
        return (CodecArray("dense", classes, "float32"),)

    def encode_tensors(self, logits: Logits) -> EncodedTensors:
        """The logits themselves."""
        refuse_unfinite(logits)
        return {"dense": logits}

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """A copy of the stored rows."""
        del classes
        return arrays["dense"].clone()

    def error_bound(self, logits: Logits) -> Bounds:
        """Zero."""
        return np.zeros(len(logits), dtype=np.float32)
