"""A model by name: the CIFAR families of the literature, torchvision's, timm's, or a function from outside."""

from types import ModuleType

from torch import nn

from cache_kd.errors import ModelError
from cache_kd.models import (
    cifar_resnet,
    four_stage_resnet,
    mobilenet_v2,
    shufflenet_v1,
    shufflenet_v2,
    timm_models,
    torchvision_models,
    vgg,
    wide_resnet,
)
from cache_kd.models.family import Family
from cache_kd.models.nearest import nearest
from cache_kd.outside import is_outside, load_function

FAMILIES = (
    Family("ResNet, three stages", cifar_resnet.PAPER, cifar_resnet.CifarResNet, cifar_resnet.ARCHITECTURES),
    Family("wide ResNet", wide_resnet.PAPER, wide_resnet.WideResNet, wide_resnet.ARCHITECTURES),
    Family("VGG, batch norm", vgg.PAPER, vgg.Vgg, vgg.ARCHITECTURES),
    Family("MobileNetV2, half width", mobilenet_v2.PAPER, mobilenet_v2.MobileNetV2, mobilenet_v2.ARCHITECTURES),
    Family("ShuffleNet", shufflenet_v1.PAPER, shufflenet_v1.ShuffleNetV1, shufflenet_v1.ARCHITECTURES),
    Family("ShuffleNetV2", shufflenet_v2.PAPER, shufflenet_v2.ShuffleNetV2, shufflenet_v2.ARCHITECTURES),
    Family(
        "ResNet, four stages",
        four_stage_resnet.PAPER,
        four_stage_resnet.FourStageResNet,
        four_stage_resnet.ARCHITECTURES,
    ),
)


def names() -> list[str]:
    """The models of the CIFAR literature, sorted; those of torchvision and timm come on top of these."""
    return sorted(name for family in FAMILIES for name in family.architectures)


def family_of(name: str) -> Family | None:
    """The family of one of `names()`; None for any other name."""
    return next((family for family in FAMILIES if name in family.architectures), None)


def library_of(name: str) -> ModuleType | None:
    """Our module for the library that `torchvision:NAME` or `timm:NAME` is of; None for any other name."""
    return next((each for each in (torchvision_models, timm_models) if name.startswith(each.PREFIX)), None)


def build(name: str, *, classes: int, channels: int) -> nn.Module:
    """A freshly initialised model; the caller seeds torch's generator.

    Args:
        name: one of `names()`, `torchvision:NAME`, `timm:NAME`, or `package.module:function`, which is called as
            `function(classes=…, channels=…)`.
        classes: number of outputs.
        channels: of the input images, 1 or 3.

    Raises:
        ModelError: no such model, or it cannot be built for this input.
    """
    family, library = family_of(name), library_of(name)
    if family is not None:
        return family.build(name, classes=classes, channels=channels)
    if library is not None:
        built: nn.Module = library.build(name.removeprefix(library.PREFIX), classes=classes, channels=channels)
        return built
    if is_outside(name):
        model = load_function(name, purpose="a model")(classes=classes, channels=channels)
        if not isinstance(model, nn.Module):
            raise ModelError(f"{name} returned {type(model).__name__}; expected a torch.nn.Module.")
        return model
    known = {each: each for each in names()}
    known |= {each: f"{torchvision_models.PREFIX}{each}" for each in torchvision_models.names()}
    raise ModelError(
        f"There is no model {name!r}; {nearest(name, known)}`kdcache models` lists ours; "
        "torchvision:NAME, timm:NAME and package.module:function are models, too."
    )
