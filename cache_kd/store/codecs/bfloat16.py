"""Every logit rounded to bfloat16: 2 bytes each, 8 significant bits, the range of float32."""

from typing import Literal

import torch

from cache_kd.store.codec import Answers, Bounds, Codec, CodecArray, EncodedTensors, refuse, refuse_unfinite
from cache_kd.types import Logits

LARGEST = torch.finfo(torch.bfloat16).max  # 3.39e38; the last 0.4 % of float32's range would become infinity
RELATIVE_ERROR = 2.0**-8  # half of the last of 8 significant bits
LEAST_ERROR = 2.0**-134  # half of the spacing below 2**-126, where precision runs out


class BFloat16(Codec):
    """The upper half of a float32, rounded to nearest; what a teacher under bf16 autocast gave comes back exactly."""

    name: Literal["bfloat16"] = "bfloat16"

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """One dense array of the 16 bits, for which neither numpy nor Zarr has a name."""
        return (CodecArray("bits", classes, "uint16"),)

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The logits rounded."""
        logits = answers.logits
        refuse_unfinite(logits)
        refuse(logits, logits.abs() > LARGEST, f"bfloat16 holds +-{LARGEST:.4g}; use --codec float32.")
        return {"bits": logits.to(torch.bfloat16).view(torch.uint16)}

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """The stored rows widened, which is exact."""
        del classes
        return arrays["bits"].view(torch.bfloat16).float()

    def error_bound(self, answers: Answers) -> Bounds:
        """Half a unit in the last place of the row's largest logit."""
        largest = answers.logits.abs().amax(dim=1)
        return (largest * RELATIVE_ERROR).clamp(min=LEAST_ERROR).cpu().numpy()
