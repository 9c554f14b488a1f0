"""torchvision's classifiers by name, freshly initialised or with the weights that torchvision publishes."""

import contextlib
import sys
from pickle import UnpicklingError
from typing import Any

from torch import nn

from cache_kd.errors import ModelError, did_you_mean
from cache_kd.models.nearest import nearest
from cache_kd.models.published import Published

PREFIX = "torchvision:"
TITLE = "torchvision"


def names() -> list[str]:
    """All of them, without the prefix."""
    from torchvision import models

    return list(models.list_models(module=models))


def catalogue() -> dict[str, list[str]]:
    """All of them, without the prefix, and the weights that torchvision publishes for each, such as IMAGENET1K_V2."""
    from torchvision import models

    return {name: [weights.name for weights in models.get_model_weights(name)] for name in names()}


def pictures(name: str) -> int:
    """Height and width that the model `name` is made for.

    Raises:
        ModelError: no such model.
    """
    from torchvision import models

    # some weights were tuned at a larger size, which a fresh model is not built for
    return min(int(weights.transforms().crop_size[0]) for weights in models.get_model_weights(_known(name)))


def build(name: str, *, classes: int, channels: int) -> nn.Module:
    """The model `name` (without the prefix), freshly initialised.

    Raises:
        ModelError: no such model, or images that are not in colour.
    """
    from torchvision import models

    known = _known(name)
    _check_colour(name, channels)
    model: nn.Module = models.get_model(known, weights=None, num_classes=classes)
    return model


def published(name: str, weights: str, *, channels: int) -> Published:
    """The model `name` (without the prefix) with torchvision's own `weights`, downloaded where they are not there yet.

    Args:
        name: of the model.
        weights: one that `catalogue` lists, or `default`: torchvision's choice.
        channels: of the images; 3.

    Raises:
        ModelError: no such model or weights, images that are not in colour, or weights that cannot be had.
    """
    from torchvision import models

    _check_colour(name, channels)
    listed = models.get_model_weights(_known(name))
    if weights != "default" and weights not in listed.__members__:
        known = did_you_mean(weights, ["default", *listed.__members__])
        raise ModelError(f"torchvision has no weights {weights!r} for {name}; {known}")
    entry = listed.DEFAULT if weights == "default" else listed[weights]
    model = _load(name, entry)
    transforms = entry.transforms()
    return Published(
        model=model,
        classes=len(entry.meta["categories"]),
        normalise={"mean": list(transforms.mean), "std": list(transforms.std)},
    )


def _load(name: str, entry: Any) -> nn.Module:
    import torch
    from torchvision import models

    try:
        # torchvision says on stdout that it downloads; stdout is for results
        with contextlib.redirect_stdout(sys.stderr):
            # read as plain tensors first, which get_model does not ask for; then by get_model, which renames old keys
            entry.get_state_dict(progress=True, check_hash=True, weights_only=True)
            model: nn.Module = models.get_model(name, weights=entry)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as fault:
        file = entry.url.rpartition("/")[2]
        raise ModelError(
            f"torchvision's weights {entry} cannot be had ({fault}). Without a network, fetch {entry.url} elsewhere "
            f"and put it at {torch.hub.get_dir()}/checkpoints/{file}."
        ) from None
    return model


def _known(name: str) -> str:
    if name not in names():
        raise ModelError(
            f"torchvision has no classifier {name!r}; {nearest(name, names())}`kdcache models {PREFIX}` lists them."
        )
    return name


def _check_colour(name: str, channels: int) -> None:
    if channels != 3:
        raise ModelError(
            f"torchvision's {name} takes colour images, these have {channels} channel(s). "
            "Use one of the models of `kdcache models`, or package.module:function."
        )
