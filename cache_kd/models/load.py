"""A model with its weights, from a file or from the library that publishes them, and what is known of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from cache_kd.errors import ModelError
from cache_kd.models.checkpoint import load_weights, read_about
from cache_kd.models.zoo import build, library_of


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model with its weights."""

    model: nn.Module
    normalise: str | dict[str, Any] | None  # as the weights say of themselves; None: they do not


def load_model(name: str, checkpoint: Path, *, classes: int, channels: int) -> Loaded:
    """The model `name` with the weights of `checkpoint`.

    Args:
        name: see `models.zoo.build`.
        checkpoint: .safetensors, or a torch file of tensors; for `torchvision:NAME` and `timm:NAME` also the name of
            weights that the library publishes, such as IMAGENET1K_V2, a1_in1k or `default`.
        classes: of the data; the model must have as many outputs.
        channels: of the images.

    Raises:
        ModelError: no such model or weights, or they do not fit, or have another number of classes.
    """
    library = library_of(name)
    if library is not None and _is_name(checkpoint):
        published = library.published(name.removeprefix(library.PREFIX), str(checkpoint), channels=channels)
        _check_classes(published.classes, classes, f"{name} {checkpoint}")
        return Loaded(model=published.model, normalise=published.normalise)
    about = read_about(checkpoint) if checkpoint.is_file() else {}
    _check_classes(about.get("classes"), classes, str(checkpoint))
    model = build(name, classes=classes, channels=channels)
    load_weights(model, checkpoint)
    return Loaded(model=model, normalise=about.get("normalise"))


def _is_name(checkpoint: Path) -> bool:
    """Whether this is a name of weights rather than a file's, which has a suffix or is there."""
    return checkpoint.name == str(checkpoint) and not checkpoint.suffix and not checkpoint.is_file()


def _check_classes(stated: object, expected: int, weights: str) -> None:
    if stated is not None and stated != expected:
        raise ModelError(
            f"{weights} is a teacher of {stated} classes, the data has {expected}; "
            "they must be the same classes in the same order."
        )
