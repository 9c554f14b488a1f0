"""What a model is before it is trained: its paper, its parameters, what its layers make of a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cache_kd.errors import ModelError
from cache_kd.models.features import Penultimate
from cache_kd.models.zoo import FAMILIES, build, family_of, library_of


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A line of the list of models."""

    name: str
    parameters: int  # that are trained
    family: str
    paper: str  # authors, title, venue and year
    reference: str  # the same in short
    pictures: int  # height and width that it is made for


@dataclass(frozen=True, kw_only=True)
class Details:
    """One model in full, for one number of classes and channels and one size of pictures."""

    name: str
    parameters: int  # that are trained
    family: str
    paper: str
    classes: int
    channels: int
    pictures: int  # height and width
    layers: Mapping[str, Sequence[int]]  # name -> what comes out for one picture, without the batch
    features: int | None  # before the last linear layer; None where the logits come from something else
    weights: Sequence[str]  # names of published weights that --checkpoint takes


def summaries(*, classes: int, channels: int) -> list[Summary]:
    """The models of the CIFAR literature, family by family."""
    return [
        Summary(
            name=name,
            parameters=_count(_built(name, classes, channels)),
            family=family.title,
            paper=family.paper,
            reference=family.reference,
            pictures=family.pictures,
        )
        for family in FAMILIES
        for name in family.architectures
    ]


def describe(name: str, *, classes: int, channels: int, pictures: int | None = None) -> Details:
    """The model `name` in full; where it can be built without numbers, no weights are made.

    Args:
        name: see `models.zoo.build`.
        classes: outputs.
        channels: of the input.
        pictures: height and width; None: those that it is made for, 32 where nobody knows.

    Raises:
        ModelError: no such model, or it does not take such pictures.
    """
    family, library = family_of(name), library_of(name)
    bare = name.removeprefix(library.PREFIX) if library else name
    side = pictures or (library.pictures(bare) if library else 32)
    model = _built(name, classes, channels).eval()
    image = torch.zeros(1, channels, side, side, device=next(model.parameters()).device)
    return Details(
        name=name,
        parameters=_count(model),
        family=family.title if family else (library.TITLE if library else "a function of yours"),
        paper=family.paper if family else "",
        classes=classes,
        channels=channels,
        pictures=side,
        layers=_layers(model, image),
        features=_features(model, image),
        weights=library.catalogue()[bare.partition(".")[0]] if library else (),
    )


def _built(name: str, classes: int, channels: int) -> nn.Module:
    """On the meta device, which has shapes and no numbers and costs nothing; else with weights, on the CPU."""
    if family_of(name) or library_of(name):
        try:
            with torch.device("meta"):
                return build(name, classes=classes, channels=channels)
        except NotImplementedError:  # torchvision's RegNets compute their widths with tensors
            pass
    return build(name, classes=classes, channels=channels)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _layers(model: nn.Module, image: Tensor) -> dict[str, tuple[int, ...]]:
    """The shape that each outermost layer gives, in the order of the forward pass."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in _outermost(model):

        def remember(module: nn.Module, inputs: object, output: object, name: str = name) -> None:
            del module, inputs
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape[1:])

        layer.register_forward_hook(remember)
    try:
        with torch.no_grad():
            model(image)
    except (RuntimeError, ValueError, AssertionError) as fault:
        _, channels, height, width = image.shape
        raise ModelError(
            f"{type(model).__name__} does not take pictures of {height}x{width} with {channels} channel(s): {fault}"
        ) from None
    return shapes


def _outermost(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children, and those of a list of layers, which is never called itself."""
    return [
        (f"{name}.{inner}" if inner else name, layer)
        for name, child in model.named_children()
        for inner, layer in (child.named_children() if isinstance(child, nn.ModuleList) else [("", child)])
    ]


def _features(model: nn.Module, image: Tensor) -> int | None:
    try:
        return Penultimate(model, image).size
    except ModelError:
        return None
