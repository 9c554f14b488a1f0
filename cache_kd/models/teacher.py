"""A teacher: frozen weights in eval mode behind their normalisation, giving raw float32 logits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cache_kd.device import Precision, computing
from cache_kd.errors import ModelError
from cache_kd.models.checkpoint import fingerprint
from cache_kd.models.features import Penultimate
from cache_kd.models.load import load_model
from cache_kd.models.normalise import Normalise, make_normalise
from cache_kd.progress import Progress, Silent
from cache_kd.types import Logits


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """What decides the teacher's logits, and the call that gives them."""

    name: str
    model: nn.Module
    normalise: Normalise
    precision: Precision
    device: torch.device
    fingerprint: str

    @torch.inference_mode()
    def logits(self, pixels: Tensor) -> Logits:
        """Raw logits float32 [batch, classes] of `pixels` uint8 [batch, height, width, channels], any device."""
        with computing(self.device, self.precision):
            logits: Tensor = self.model(self.normalise(pixels.to(self.device, non_blocking=True)))
        return logits.float()

    @torch.inference_mode()
    def penultimate(self, pixels: Tensor) -> Penultimate:
        """Remembers, from now on, what the last layer was given for the latest `logits`; `pixels` as for those.

        Raises:
            ModelError: the logits are not those of a linear layer.
        """
        with computing(self.device, self.precision):
            return Penultimate(self.model, self.normalise(pixels.to(self.device)))


def load_teacher(
    name: str,
    checkpoint: Path,
    *,
    classes: int,
    channels: int,
    device: torch.device,
    precision: Precision = "float32",
    normalise: str | dict[str, Any] | None = None,
    usual: str | None = None,
    progress: Progress | None = None,
) -> Teacher:
    """The model `name` with the weights of `checkpoint`, ready to be asked.

    Args:
        name: see `models.zoo.build`.
        checkpoint: a file, or the name of weights that torchvision or timm publishes; see `models.load.load_model`.
        classes: of the data; the teacher must have as many outputs.
        channels: of the images.
        device: where it runs.
        precision: float32, or bf16 autocast.
        normalise: a known name or means and stds; None takes what the checkpoint says of itself.
        usual: the name of what models of this data are trained with, where neither of the two says it.
        progress: who is told where `usual` is taken.

    Raises:
        ModelError: the checkpoint does not fit, has another number of classes, or does not say its normalisation.
    """
    loaded = load_model(name, checkpoint, classes=classes, channels=channels)
    spec = normalise if normalise is not None else loaded.normalise
    if spec is None and usual is not None:
        spec = usual
        (progress or Silent()).say(
            f"No --normalise is given and {checkpoint} says none: {usual}, the usual one on this data."
        )
    if spec is None:
        raise ModelError(
            f"{checkpoint} does not say how its images were normalised; "
            'pass --normalise with a known name (cifar100, imagenet, …) or JSON: {"mean": […], "std": […]}.'
        )
    model = loaded.model.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return Teacher(
        name=name,
        model=model,
        normalise=make_normalise(spec, channels=channels),
        precision=precision,
        device=device,
        fingerprint=fingerprint(model),
    )
