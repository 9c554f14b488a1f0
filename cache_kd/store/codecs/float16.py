"""Every logit rounded to half precision: 2 bytes each, 11 significant bits."""

from typing import Literal

import numpy as np
import torch

from cache_kd.store.codec import Answers, Bounds, Codec, CodecArray, EncodedTensors, refuse, refuse_unfinite
from cache_kd.types import Logits

LARGEST = torch.finfo(torch.float16).max  # 65504; anything beyond would be stored as infinity
RELATIVE_ERROR = 2.0**-11  # half of the last of 11 significant bits
LEAST_ERROR = 2.0**-25  # half of the spacing below 2**-14, where precision runs out


class Float16(Codec):
    """IEEE half precision, rounded to nearest."""

    name: Literal["float16"] = "float16"

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """One dense array."""
        return (CodecArray("dense", classes, "float16"),)

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The logits rounded."""
        logits = answers.logits
        refuse_unfinite(logits)
        refuse(logits, logits.abs() > LARGEST, f"float16 holds +-{LARGEST:.0f}; use --codec float32.")
        return {"dense": logits.to(torch.float16)}

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """The stored rows widened, which is exact."""
        del classes
        return arrays["dense"].float()

    def error_bound(self, answers: Answers) -> Bounds:
        """Half a unit in the last place of the row's largest logit."""
        largest = answers.logits.abs().amax(dim=1).cpu().numpy()
        return np.maximum(largest * np.float32(RELATIVE_ERROR), np.float32(LEAST_ERROR))
