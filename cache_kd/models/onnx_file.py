"""A trained model as ONNX: one file, any number of pictures at a time, held against the model it was made from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cache_kd.errors import ModelError
from cache_kd.models.checkpoint import METADATA_KEY
from cache_kd.models.normalise import Normalise

# pixels: uint8 [batch, height, width, channels], as image libraries give them; the graph normalises.
# normalised: float32 [batch, channels, height, width], for whom has a normalisation of their own before the model.
Takes = Literal["pixels", "normalised"]

OPSET = 18  # the lowest that torch's exporter writes without converting; ONNX 1.13 and onnxruntime 1.14, both of 2023
TOLERANCE = 1e-4  # of the largest logit; float32 sums in another order: below 1e-6 for the models of `kdcache models`
OUTPUT = "logits"
_CHECKED = (1, 5)  # numbers of pictures; not the two that the graph is traced with


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """A model in ONNX's words.

    Attributes:
        content: of the file.
        difference: the largest between its logits and the model's own, over some pictures, as a share of the largest.
    """

    content: bytes
    difference: float


def make_onnx(
    model: nn.Module,
    normalise: Normalise,
    *,
    takes: Takes,
    channels: int,
    height: int,
    width: int,
    about: Mapping[str, Any],
) -> OnnxModel:
    """`model` as ONNX, whose one input is called as `takes` says, and whose output `logits` is [batch, classes].

    Args:
        model: on the CPU; its logits in eval mode.
        normalise: of the images that the model was trained on.
        takes: what goes in.
        channels: of a picture.
        height: likewise, pixels.
        width: likewise.
        about: JSON, kept in the file's metadata under `cache_kd`.

    Raises:
        ModelError: the packages for it are not installed, the model cannot be traced, or onnxruntime gets other logits.
    """
    _demand_packages()
    whole = _Normalised(model, normalise) if takes == "pixels" else model
    whole.eval()
    shape = (height, width, channels) if takes == "pixels" else (channels, height, width)
    content = _traced(whole, _pictures(2, shape, takes), takes, about)
    return OnnxModel(content=content, difference=_difference(whole, content, shape, takes))


class _Normalised(nn.Module):
    """A model behind its door."""

    def __init__(self, model: nn.Module, normalise: Normalise) -> None:
        super().__init__()
        self._model = model
        self._normalise = normalise

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of `pixels` uint8 [batch, height, width, channels]."""
        logits: Tensor = self._model(self._normalise(pixels))
        return logits


def _demand_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as fault:
        raise ModelError(
            f"ONNX needs {fault.name}, which is not installed: pip install 'cache_kd[onnx]'. "
            "Without --onnx only the weights are written."
        ) from None


def _traced(model: nn.Module, example: Tensor, takes: Takes, about: Mapping[str, Any]) -> bytes:
    try:
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[takes],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as fault:
        raise ModelError(
            f"The model cannot be written as ONNX: {str(fault).strip().splitlines()[0]}. "
            "Without --onnx only the weights are written."
        ) from fault
    assert program is not None
    proto = program.model_proto
    proto.metadata_props.add(key=METADATA_KEY, value=json.dumps(about, sort_keys=True))
    content: bytes = proto.SerializeToString()
    return content


def _difference(model: nn.Module, content: bytes, shape: tuple[int, int, int], takes: Takes) -> float:
    """How far onnxruntime's logits are from the model's.

    Raises:
        ModelError: too far.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = 0.0
    for pictures in (_pictures(count, shape, takes) for count in _CHECKED):
        with torch.inference_mode():
            expected = model(pictures)
        found = torch.from_numpy(session.run([OUTPUT], {takes: pictures.numpy()})[0])
        difference = max(difference, float((found - expected).abs().max() / expected.abs().max()))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"onnxruntime {onnxruntime.__version__} gets other logits from this model than torch: {difference:.2g} of "
            f"the largest away; expected at most {TOLERANCE:g}. Nothing was written: use the weights, or another "
            "release of onnxruntime."
        )
    return difference


def _pictures(count: int, shape: tuple[int, int, int], takes: Takes) -> Tensor:
    """Noise, the same every time."""
    generator = torch.Generator().manual_seed(count)
    if takes == "normalised":
        return torch.randn(count, *shape, generator=generator)
    return torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
