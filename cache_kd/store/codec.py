"""What a codec is, how a teacher's answers become arrays on disk and logits again, and how one is found by its name."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from pydantic import PrivateAttr

from cache_kd.config import Config, build
from cache_kd.errors import ConfigError, ModelError, did_you_mean
from cache_kd.types import Features, HeadBias, HeadWeight, Labels, LogitArray, Logits

Encoded = Mapping[str, NDArray[Any]]  # array name -> [rows, width]
EncodedTensors = Mapping[str, torch.Tensor]  # the same, on any device
Parameters = Mapping[str, torch.Tensor]  # what a codec found out about a teacher, by its names for it
Bounds = Float32[np.ndarray, "rows"]  # the largest |stored - given| of each row
ClassBounds = Float32[np.ndarray, "rows _"]  # of each logit, or one column for all classes

UINT16_CLASSES = 2**16  # class numbers that two bytes tell apart


class CodecArray(NamedTuple):
    """One array that a codec keeps.

    Rows never written read as NaN where numbers are floats, else as 0; only a completion record tells them from others.
    """

    name: str
    width: int  # numbers per row
    dtype: str

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return self.width * np.dtype(self.dtype).itemsize


class LastLayer(NamedTuple):
    """A teacher's classifier taken apart: its logits are features @ weight.T + bias, up to rounding."""

    features: Features
    weight: HeadWeight
    bias: HeadBias


class Answers(NamedTuple):
    """What a teacher said of some pictures, all on one device.

    `labels` and `last_layer` may be left out for codecs that keep nothing of them.
    """

    logits: Logits
    labels: Labels | None = None
    last_layer: LastLayer | None = None


class Codec(Config, ABC):
    """How logits are kept; its fields, and so its JSON, hold everything that decides a stored number.

    A codec is one file of the folder `codecs` whose class has the file's name in the field `name`.

    Attributes:
        fitted: it learns parameters from the first shard of a store, which are kept beside the rows.
        reads_last_layer: it keeps what the teacher's classifier was given.
        lossless: every logit comes back bit for bit.
    """

    fitted: ClassVar[bool] = False
    reads_last_layer: ClassVar[bool] = False
    lossless: ClassVar[bool] = False

    name: str
    version: Literal[1] = 1  # a codec whose bytes change counts up, so that old stores are refused, not misread

    _parameters: dict[torch.device, Parameters] = PrivateAttr(default_factory=dict)

    @abstractmethod
    def arrays(self, classes: int) -> tuple[CodecArray, ...]:
        """The arrays that rows of `classes` logits become."""

    @abstractmethod
    def encode_tensors(self, answers: Answers) -> EncodedTensors:
        """`answers` with float32 logits [rows, classes] as the arrays that are kept, on the device where they are.

        Raises:
            UnfitLogit: a logit is NaN, infinite or beyond what the codec can hold; names row and class.
        """

    @abstractmethod
    def decode_tensors(self, arrays: EncodedTensors, classes: int) -> Logits:
        """The logits float32 [rows, classes] of encoded rows, on their device.

        The same bits on every device and in any batch, unless the codec says otherwise.
        """

    @abstractmethod
    def error_bound(self, answers: Answers) -> Bounds:
        """For each row of finite logits, the largest |stored - given| that this codec promises."""

    def error_bounds(self, answers: Answers) -> ClassBounds:
        """The same for each logit, where a codec promises more for some; also if another run of the teacher was stored.

        Rounding of that run, which is the caller's to allow for, comes on top.
        """
        return self.error_bound(answers)[:, None]

    def resolved(self, *, classes: int, features: int | None) -> "Codec":
        """This codec with the fields filled in that depend on the teacher.

        Args:
            classes: logits per row.
            features: what the teacher's last layer takes; None where that is not known.

        Raises:
            ConfigError: it cannot keep such a teacher.
        """
        del classes, features
        return self

    def fit(self, pilot: Answers) -> Parameters:
        """The parameters of a `fitted` codec, from some answers of the teacher; on the CPU."""
        del pilot
        return {}

    def equipped(self, parameters: Parameters) -> "Codec":
        """This codec with its parameters, ready to encode and decode; nothing of it changes for one that has none."""
        copy = self.model_copy()
        copy._parameters = {torch.device("cpu"): dict(parameters)}
        return copy

    def parameter(self, name: str, device: torch.device) -> torch.Tensor:
        """One of the parameters that `equipped` was given, on `device`, where it is kept from then on."""
        if device not in self._parameters:
            own = self._parameters[torch.device("cpu")]
            self._parameters[device] = {each: tensor.to(device) for each, tensor in own.items()}
        return self._parameters[device][name]

    def encode(self, answers: Answers) -> dict[str, NDArray[Any]]:
        """What `encode_tensors` gives, for the disk."""
        return {name: tensor.cpu().numpy() for name, tensor in self.encode_tensors(answers).items()}

    def decode(self, arrays: Encoded, classes: int) -> LogitArray:
        """What `decode_tensors` gives of arrays from the disk; a new array."""
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return self.decode_tensors(tensors, classes).numpy()

    def to_json(self) -> dict[str, Any]:
        """What the manifest keeps; `make_codec` takes it back."""
        return self.model_dump(mode="json")

    def bytes_per_row(self, classes: int) -> int:
        """On disk, before checksums and digests."""
        return sum(array.row_bytes for array in self.arrays(classes))

    def widest_bytes(self, classes: int) -> int:
        """Of a row, in the array that takes most of it."""
        return max(array.row_bytes for array in self.arrays(classes))


def make_codec(spec: str | Mapping[str, Any]) -> Codec:
    """The codec that a name such as "float16", or the mapping that `to_json` gave, describes.

    Raises:
        ConfigError: there is no such codec, it has no such knob, or a value does not fit.
    """
    knobs = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = knobs.get("name")
    if name not in codec_names():
        raise ConfigError(f"There is no codec {name!r}; {did_you_mean(str(name), codec_names())}")
    return build(_kind(name), knobs, origin=f"codec {name}")


def class_dtype(classes: int) -> str:
    """Of numbers that tell `classes` apart."""
    return "uint16" if classes <= UINT16_CLASSES else "uint32"


def codec_names() -> list[str]:
    """Every codec of the folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "codecs")]))


class UnfitLogit(ModelError):
    """A logit that a codec cannot keep.

    Attributes:
        row: of it.
        column: its class.
        why: what it is, and the mend.
    """

    def __init__(self, row: int, column: int, why: str) -> None:
        super().__init__(f"row {row}, class {column}: {why}")
        self.row, self.column, self.why = row, column, why


def refuse(logits: Logits, unfit: torch.Tensor, why: str) -> None:
    """Raise for the first logit that is `unfit`, a mask [rows, classes]; pass where none is.

    Raises:
        UnfitLogit: names row, class and value.
    """
    if bool(unfit.any()):
        row, column = unfit.nonzero()[0].tolist()
        raise UnfitLogit(row, column, f"the teacher's logit is {logits[row, column].item()}; {why}")


def refuse_unfinite(logits: Logits) -> None:
    """Raise for NaN and infinity, which no codec keeps: NaN marks what was never written.

    Raises:
        UnfitLogit: names row and class.
    """
    refuse(logits, ~logits.isfinite(), "a logit must be a finite number. Check the checkpoint and its normalisation.")


def _kind(name: str) -> type[Codec]:
    """The class in the file `name` of the folder."""
    module = import_module(f"{__name__.rpartition('.')[0]}.codecs.{name}")
    return next(
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Codec) and kind.__module__ == module.__name__
    )
