"""timm's models by name, freshly initialised or with the weights that timm publishes; timm is imported only here."""

from types import ModuleType

from torch import nn

from cache_kd.errors import ModelError, did_you_mean
from cache_kd.models.nearest import nearest
from cache_kd.models.published import Published

PREFIX = "timm:"
TITLE = "timm"


def catalogue() -> dict[str, list[str]]:
    """All of them, without the prefix, and the weights that timm publishes for each, such as a1_in1k.

    Raises:
        ModelError: timm is not installed.
    """
    weights: dict[str, list[str]] = {name: [] for name in _timm().list_models()}
    for full in _timm().list_models(pretrained=True):
        architecture, _, tag = full.partition(".")
        weights[architecture].append(tag)
    return weights


def pictures(name: str) -> int:
    """Height and width that the model `name` is made for.

    Raises:
        ModelError: timm is not installed, or has no such model.
    """
    architecture, tag = _split(name)
    stated = _timm().get_pretrained_cfg(f"{architecture}.{tag}" if tag else architecture)
    return int(stated.input_size[-1])


def build(name: str, *, classes: int, channels: int) -> nn.Module:
    """The model `name` (without the prefix; weights that it names are left out), freshly initialised.

    Raises:
        ModelError: timm is not installed, or has no such model.
    """
    architecture, _ = _split(name)
    model: nn.Module = _timm().create_model(architecture, pretrained=False, num_classes=classes, in_chans=channels)
    return model


def published(name: str, weights: str, *, channels: int) -> Published:
    """The model `name` (without the prefix) with timm's own `weights`, downloaded where they are not there yet.

    Args:
        name: of the model, with or without the name of weights: `resnet50`, `resnet50.a1_in1k`.
        weights: one that `catalogue` lists, or `default`: those that `name` says, else timm's choice.
        channels: of the images; the weights' own number.

    Raises:
        ModelError: timm is not installed, has no such model or weights, or they cannot be had, or take other images.
    """
    architecture, tag = _split(name)
    listed = catalogue()[architecture]
    wanted = (tag or _timm().get_pretrained_cfg(architecture).tag) if weights == "default" else weights
    if wanted not in listed or (tag and tag != wanted):
        known = did_you_mean(weights, ["default", *([tag] if tag in listed else listed)])
        raise ModelError(f"timm has no weights {weights!r} for {name}; {known}")
    full = f"{architecture}.{wanted}"
    stated = _timm().get_pretrained_cfg(full)
    assert stated is not None
    if stated.input_size[0] != channels:
        raise ModelError(
            f"timm's {full} takes images of {stated.input_size[0]} channel(s), these have {channels}. "
            "Name another teacher."
        )
    return Published(
        model=_load(full),
        classes=stated.num_classes,
        normalise={"mean": list(stated.mean), "std": list(stated.std)},
    )


def _load(full: str) -> nn.Module:
    try:
        model: nn.Module = _timm().create_model(full, pretrained=True)
    except (OSError, RuntimeError, ImportError) as fault:
        raise ModelError(
            f"timm's weights {full} cannot be had ({fault}). timm downloads them where there is a network; "
            "without one, pass --checkpoint with a file."
        ) from None
    return model


def _split(name: str) -> tuple[str, str]:
    """Architecture, and the weights that the name says (or nothing)."""
    architecture, _, tag = name.partition(".")
    known = _timm().list_models()
    if architecture not in known:
        raise ModelError(
            f"timm has no model {architecture!r}; {nearest(architecture, known)}`kdcache models {PREFIX}` lists them."
        )
    return architecture, tag


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError:
        raise ModelError("timm:… names a model of timm, which is not installed: pip install timm.") from None
    return timm
