"""What the teacher's last linear layer was given, and that layer once: the logits are computed when they are read."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from cache_kd.errors import ConfigError
from cache_kd.store.codec import (
    Answers,
    Bounds,
    Codec,
    CodecArray,
    EncodedTensors,
    LastLayer,
    Parameters,
    refuse_unfinite,
)
from cache_kd.types import Features, Logits, PerSample

LARGEST_HALF = torch.finfo(torch.float16).max
ROUNDING = 2.0**-23  # of float32 and one product; both the teacher's layer and ours round
HALF_ROUNDING = 2.0**-11


class Feature(Codec):
    """A row's features as float32 or float16; weight and bias of the layer above them stand beside the rows.

    The cheapest store wherever the features are fewer than the classes, and exact up to the rounding of one matrix
    product, which differs a little with the device and the number of rows. A teacher under bfloat16 autocast rounded
    its own product, and with it its logits, to 8 bits; what comes back is what it would have said without.

    Attributes:
        features: how many there are; None until a teacher is known.
        precision: of a stored feature.
    """

    fitted: ClassVar[bool] = True
    reads_last_layer: ClassVar[bool] = True

    name: Literal["feature"] = "feature"
    features: Annotated[int, Field(ge=1)] | None = None
    precision: Literal["float32", "float16"] = "float32"

    def resolved(self, *, classes: int, features: int | None) -> "Feature":
        """With the number of features.

        Raises:
            ConfigError: there are none, because the logits are not those of a linear layer or come from a file.
        """
        del classes
        if features is None:
            raise ConfigError(
                "codec feature keeps what a teacher's last linear layer is given, and here there are only logits: "
                "of a file, of several teachers, or of a model that ends otherwise. Use --codec float16 or uint8."
            )
        if self.features not in (None, features):
            raise ConfigError(
                f"codec feature was asked to keep {self.features} features; the teacher's last layer is given "
                f"{features}. Leave `features` out."
            )
        return self.model_copy(update={"features": features})

    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """One dense array of features.

        Raises:
            ConfigError: nobody said how many there are.
        """
        del classes
        if self.features is None:
            raise ConfigError(
                "codec feature has no size before a teacher is known: its last layer says how many features it takes. "
                'Where only sizes matter, say it: {"name": "feature", "features": 512}.'
            )
        return (CodecArray("features", self.features, self.precision),)

    def fit(self, pilot: Answers) -> Parameters:
        """The teacher's last layer as it is."""
        layer = _layer(pilot)
        return {"weight": layer.weight.float().cpu(), "bias": layer.bias.float().cpu()}

    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """The features, rounded where float16 is asked for."""
        refuse_unfinite(answers.logits)
        features = _layer(answers).features.float()
        if self.precision == "float16":
            _refuse_wide(features)
            return {"features": features.to(torch.float16)}
        return {"features": features}

    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """features @ weight.T + bias, in float32; equal on two devices, or in two batches, up to rounding."""
        del classes
        features = arrays["features"].float()
        weight, bias = (self.parameter(name, features.device) for name in ("weight", "bias"))
        return torch.addmm(bias, features, weight.T)

    def error_bound(self, answers: Answers) -> Bounds:
        """The rounding of a sum of products, in whatever order it is added up (Higham 2002, section 3.1)."""
        features, weight, bias = (part.float() for part in _layer(answers))
        magnitude = (features.abs() @ weight.abs().T + bias.abs()).amax(dim=1)
        error = ROUNDING * (features.shape[1] + 2)
        if self.precision == "float16":
            error += HALF_ROUNDING
        return self._bounded(magnitude * error, weight).cpu().numpy()

    def _bounded(self, error: PerSample, weight: torch.Tensor) -> PerSample:
        # features below 2^-14 lose up to 2^-25 each
        small = 2.0**-25 * weight.abs().sum(dim=1).amax() if self.precision == "float16" else 0.0
        return error + small


def _layer(answers: Answers) -> LastLayer:
    assert answers.last_layer is not None, "codec feature reads the last layer"
    return answers.last_layer


def _refuse_wide(features: Features) -> None:
    largest = float(features.abs().max())
    if largest > LARGEST_HALF:
        raise ConfigError(f"a feature is {largest:.4g}; float16 holds +-{LARGEST_HALF:.0f}. Use precision float32.")
