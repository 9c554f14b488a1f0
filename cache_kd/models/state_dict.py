"""The state dict in what a file holds: out of what it lies in, under the names that the model has for it."""

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from torch import Tensor

from cache_kd.errors import ModelError, SeveralWeights

KEYS = ("state_dict", "model", "net")  # that training code saves weights under; what stands first here is taken
_WRAPPERS = ("module.", "_orig_mod.")  # before every name: of DataParallel and AveragedModel, of torch.compile
_AVERAGED = "n_averaged"  # how many weights AveragedModel has averaged


def state_dict_in(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors by name that `content` is, or holds under one of `KEYS`, or under the only other key with tensors.

    Args:
        content: of a file.
        path: of that file, for messages.

    Raises:
        ModelError: there is none, or there are several and none under one of `KEYS`.
    """
    for _ in range(1 + len(KEYS)):  # a mapping may hold itself
        if _is_state_dict(content):
            return {str(name): tensor for name, tensor in content.items()}
        if not isinstance(content, Mapping):
            break
        key = _key_of_weights(content, path)
        if key is None:
            break
        content = content[key]
    found = f"keys {sorted(map(str, content))[:5]}" if isinstance(content, Mapping) else type(content).__name__
    raise ModelError(
        f"{path} holds no state dict (found {found}); expected tensors, or them under {' or '.join(map(repr, KEYS))}."
    )


def renamed(weights: Mapping[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """`weights` by the names that are `expected`: without what wrappers, or a module around the model, put before them.

    Names stay where taking that off would make two the same, or would leave some of the `expected` ones out.
    """
    plain = {_without_wrappers(name, expected): tensor for name, tensor in weights.items()}
    if len(plain) < len(weights):
        return dict(weights)
    if _AVERAGED not in expected:
        plain.pop(_AVERAGED, None)
    prefixes = prefixes_of(plain, expected)
    if len(prefixes) == 1 and all(name.startswith(prefixes[0]) for name in plain):
        return {name.removeprefix(prefixes[0]): tensor for name, tensor in plain.items()}
    return plain


def prefixes_of(names: Collection[str], expected: Collection[str]) -> list[str]:
    """Each prefix behind which all the `expected` names stand, counters aside.

    >>> prefixes_of(["net.fc.weight", "net.fc.bias", "ema.fc.weight", "ema.fc.bias"], ["fc.weight", "fc.bias"])
    ['ema.', 'net.']
    """
    needed = [name for name in expected if not is_counter(name)]
    first = min(needed, default="")
    prefixes = {name.removesuffix(first) for name in names if name.endswith(f".{first}")}
    known = set(names)
    return sorted(prefix for prefix in prefixes if all(prefix + name in known for name in needed))


def is_counter(name: str) -> bool:
    """Whether this is BatchNorm's count of batches, which changes no output in eval mode and old files have not."""
    return name.endswith("num_batches_tracked")


def _is_state_dict(content: object) -> TypeGuard[Mapping[Any, Tensor]]:
    return isinstance(content, Mapping) and bool(content) and all(isinstance(each, Tensor) for each in content.values())


def _key_of_weights(content: Mapping[Any, Any], path: Path) -> Any:
    """Where weights lie; that there are others of the same model is said, or refused where nothing tells them apart."""
    sets = [key for key, value in content.items() if _is_state_dict(value)]
    usual = [key for key in KEYS if isinstance(content.get(key), Mapping)]
    if not usual:
        if len(sets) > 1:
            raise ModelError(
                f"{path} holds several sets of tensors: {', '.join(map(str, sets))}. Save the weights alone: "
                f"torch.save(torch.load({str(path)!r}, weights_only=True)[{sets[0]!r}], 'weights.pth')."
            )
        return next(iter(sets), None)
    taken = usual[0]
    names = _plain_names(content[taken])
    others = [str(key) for key in sets if key != taken and not names.isdisjoint(_plain_names(content[key]))]
    if others:
        warnings.warn(
            f"{path} holds several sets of weights: {taken!r} is taken, {', '.join(map(repr, others))} left.",
            SeveralWeights,
            stacklevel=5,
        )
    return taken


def _plain_names(content: Mapping[Any, Any]) -> set[str]:
    return {_without_wrappers(str(name), ()) for name in content}


def _without_wrappers(name: str, expected: Collection[str]) -> str:
    """A name without what wrappers put before it, as far as the model has no such part itself."""
    while name not in expected and name.startswith(_WRAPPERS):
        name = name.split(".", 1)[1]
    return name
