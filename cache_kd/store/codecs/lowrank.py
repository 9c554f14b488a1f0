"""The largest logits, and all others as a mix of the few directions along which this teacher's logits vary most."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from cache_kd.store.codec import (
    Answers,
    Bounds,
    ClassBounds,
    Codec,
    CodecArray,
    EncodedTensors,
    Parameters,
    class_dtype,
    refuse,
    refuse_unfinite,
)
from cache_kd.store.principal import pilot_rows, principal_directions
from cache_kd.store.quantise import LEAST
from cache_kd.types import Extremes, Logits

LARGEST = torch.finfo(torch.float16).max
RELATIVE_ERROR, LEAST_ERROR = 2.0**-11, 2.0**-25  # of rounding to float16
ROUNDING = 2.0**-18  # of float32, over all products and sums, as a share of the row's largest logit

# Coefficients and directions are whole numbers up to this. The sum of 512 of their products is below 2^24, so float32
# adds them up exactly in whatever order.
MOST = 127

# As in `topk`: of two logits this close either may be among the largest when the teacher runs again.
NEAR = 0.05


class LowRank(Codec):
    """Mean and principal components of the first shard's rows, 8 bits per coefficient; the largest logits as float16.

    Directions that the first shard did not show are lost, so the rest of an unusual row is smoother than it was. No
    logit of the rest is decoded above the smallest that is kept, so the order of the largest stays.

    Decoding gives the same bits on every device.

    Attributes:
        rank: how many directions; as many as classes where these are fewer.
        exact: how many of the largest logits are kept as float16, likewise.
    """

    fitted: ClassVar[bool] = True

    name: Literal["lowrank"] = "lowrank"
    rank: Annotated[int, Field(ge=1, le=512)] = 64
    exact: Annotated[int, Field(ge=1)] = 16

    def resolved(self, *, classes: int, features: int | None) -> "LowRank":
        """With no more directions and exact logits than there are classes."""
        del features
        return self.model_copy(update={"rank": min(self.rank, classes), "exact": min(self.exact, classes)})

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """The coefficients with their unit, and the largest logits with their classes."""
        exact = min(self.exact, classes)
        return (
            CodecArray("coefficients", min(self.rank, classes), "int8"),
            CodecArray("unit", 1, "float32"),
            CodecArray("top_logits", exact, "float16"),
            CodecArray("top_classes", exact, class_dtype(classes)),
        )

    def fit(self, pilot: Answers) -> Parameters:
        """The mean of the rows, and their principal components as whole numbers; zeros where the rows are too few."""
        logits = pilot.logits[: pilot_rows(*pilot.logits.shape)].cpu()
        rank = min(self.rank, logits.shape[1])
        mean, basis = principal_directions(logits, min(rank, len(logits)))
        whole = (basis * (MOST / basis.abs().max().clamp(min=LEAST))).round()
        missing = rank - len(whole)
        return {"mean": mean, "basis": torch.nn.functional.pad(whole, (0, 0, 0, missing)).to(torch.int8)}

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The row's distance from the mean, measured along the directions; the largest logits rounded."""
        logits = answers.logits
        refuse_unfinite(logits)
        refuse(logits, logits.abs() > LARGEST, f"lowrank holds +-{LARGEST:.0f}; use --codec float32.")
        largest = logits.topk(min(self.exact, logits.shape[1]), dim=1)
        coefficients, unit = self._coefficients(logits)
        return {
            "coefficients": (coefficients / unit).round().to(torch.int8),
            "unit": unit,
            "top_logits": largest.values.to(torch.float16),
            "top_classes": largest.indices.to(getattr(torch, class_dtype(logits.shape[1]))),
        }

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """The mix of directions, and the largest logits in their places."""
        del classes
        device = arrays["unit"].device
        mix = torch.mm(arrays["coefficients"].float(), self._basis(device))
        logits = mix.mul_(arrays["unit"]).add_(self.parameter("mean", device))
        top = arrays["top_logits"].float()
        logits.clamp_(max=top.amin(dim=1, keepdim=True))
        return logits.scatter_(1, arrays["top_classes"].long(), top)

    def error_bound(self, answers: Answers) -> Bounds:
        """What the directions cannot say of this row, and half a unit of every coefficient."""
        bounds: Bounds = self.error_bounds(answers).max(axis=1)
        return bounds

    def error_bounds(self, answers: Answers) -> ClassBounds:
        """The same class by class; of the largest logits only what float16 rounds."""
        logits = answers.logits
        coefficients, unit = self._coefficients(logits)
        basis = self._basis(logits.device)
        residual = (logits - self.parameter("mean", logits.device) - coefficients @ basis).abs()
        largest = logits.abs().amax(dim=1, keepdim=True)
        rounding = (largest * RELATIVE_ERROR).clamp(min=LEAST_ERROR)
        rest = residual + unit * basis.abs().sum(dim=0) * 0.501 + rounding
        smallest_kept = logits.topk(min(self.exact, logits.shape[1]), dim=1).values[:, -1:]
        bounds: ClassBounds = torch.where(logits > smallest_kept + NEAR * largest, rounding, rest).cpu().numpy()
        return bounds

    def _coefficients(self, logits: Logits) -> tuple[Tensor, Extremes]:
        """Of the whole-number directions, and for each row the unit in which they are at most `MOST`."""
        basis = self._basis(logits.device)
        lengths = basis.square().sum(dim=1).clamp(min=1)
        coefficients = (logits - self.parameter("mean", logits.device)) @ basis.T / lengths
        return coefficients, (coefficients.abs().amax(dim=1, keepdim=True) / MOST).clamp(min=LEAST)

    def _basis(self, device: torch.device) -> Tensor:
        return self.parameter("basis", device).float()
