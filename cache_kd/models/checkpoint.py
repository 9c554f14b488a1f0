"""Weights on disk: written as safetensors, read without unpickling, known by a fingerprint."""

import hashlib
import json
import re
import struct
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from cache_kd.config import parse_json
from cache_kd.errors import ModelError
from cache_kd.files import write_whole
from cache_kd.models.state_dict import is_counter, prefixes_of, renamed, state_dict_in

METADATA_KEY = "cache_kd"
# what torch.load raises for bytes that are not what torch.save wrote, or that want more than tensors: it runs a
# machine over them, and which of its parts stumbles is chance
UNREADABLE = (
    OSError, ValueError, TypeError, RuntimeError, EOFError, LookupError, AttributeError, ArithmeticError, MemoryError,
    AssertionError, struct.error, UnpicklingError,
)  # fmt: skip
_SHOWN = 3  # keys named in an error
_LONGEST = 200  # characters of a reason
# torch's word for a class that is no part of tensors; what is no such name is not printed
_CLASS = re.compile(r"GLOBAL ([\w.]+) was not an allowed global")
# numbers that training code notes beside the weights, such as the best accuracy; NumPy has moved their maker once
_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float32", "float64", "int64")),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def save_weights(model: nn.Module, path: Path, about: Mapping[str, Any]) -> None:
    """Write the state dict of `model` to `path` as safetensors, with `about` (JSON) in its metadata."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_whole(path, save(tensors, {METADATA_KEY: json.dumps(about, sort_keys=True)}))


def read_about(path: Path) -> dict[str, Any]:
    """What `save_weights` put beside the weights; empty for files that are not ours."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            about = parse_json((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as fault:
        raise ModelError(f"{path} cannot be read as safetensors: {fault}.") from None
    return about if isinstance(about, dict) else {}


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of `path` (.safetensors, or a torch file of tensors) into `model`.

    What training code puts around a state dict is taken off: {"state_dict": …}, {"model": …}, {"net": …}, or the only
    other key with tensors; `module.` of DataParallel and `_orig_mod.` of torch.compile before the names; and one prefix
    that all names have, such as Lightning's `model.`.

    Warns:
        SeveralWeights: the file has several sets of weights; it says which is taken.

    Raises:
        ModelError: no such file, not loadable without unpickling, or keys, shapes or kinds of numbers that do not fit.
    """
    expected = model.state_dict()
    weights = renamed(_read(path), expected)
    missing = sorted(key for key in set(expected) - set(weights) if not is_counter(key))
    unexpected = sorted(set(weights) - set(expected))
    reshaped = [
        f"{key} {list(weights[key].shape)} instead of {list(expected[key].shape)}"
        for key in sorted(set(weights) & set(expected))
        if weights[key].shape != expected[key].shape
    ]
    odd = [key for key in sorted(weights) if not _is_plain(weights[key])]
    faults = [
        f"{title}: {', '.join(keys[:_SHOWN])}{f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''}"
        for title, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", reshaped),
            ("sparse, quantised, complex or without values", odd),
        )
        if keys
    ]
    if faults:
        prefixes = prefixes_of(weights, expected) if missing else []
        mend = "Name the model that these weights were trained as, with the same number of classes."
        if prefixes:
            mend = (
                f"Its weights stand behind {' and behind '.join(map(repr, prefixes))}: save them alone, as {{"
                f"name.removeprefix({prefixes[0]!r}): tensor for name, tensor in weights.items() "
                f"if name.startswith({prefixes[0]!r})}}."
            )
        raise ModelError(f"{path} does not fit {type(model).__name__} — {'; '.join(faults)}. {mend}")
    model.load_state_dict(weights, strict=False)


def fingerprint(model: nn.Module) -> str:
    """Content hash of everything in the state dict that changes an output in eval mode."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        if is_counter(name):
            continue
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name}|{values.dtype}|{list(values.shape)}|".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _is_plain(tensor: Tensor) -> bool:
    """Whether a weight can be copied from it: torch cannot from the others, or leaves out what is imaginary."""
    return tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_meta or tensor.is_complex())


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"There is no checkpoint at {path}.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as fault:
            raise ModelError(f"{path} cannot be read as safetensors: {fault}.") from None
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_NUMBERS):
            warnings.simplefilter("ignore")  # torch warns of the pickle protocol of files that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as fault:
        raise ModelError(_refusal(path, fault)) from None
    return state_dict_in(content, path)


def _refusal(path: Path, fault: BaseException) -> str:
    foreign = _CLASS.search(str(fault))
    if foreign:
        return (
            f"{path} does not load as plain tensors: it has {foreign[1]}, and making such objects can run code of "
            "whoever wrote the file. If you wrote it yourself, save its weights alone, from the key that you gave "
            f"them: torch.save(torch.load({str(path)!r}, weights_only=False)['model'], 'weights.pth'). "
            "Otherwise ask for the weights alone, best as .safetensors."
        )
    # torch puts advice before what it found, on several lines
    found = str(fault).rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    reason = textwrap.shorten("".join(filter(str.isprintable, found)), _LONGEST, placeholder=" …")
    return (
        f"{path} does not load as plain tensors ({type(fault).__name__}{f': {reason}' if reason else ''}); "
        "expected a whole file that torch.save wrote of a state dict, or .safetensors."
    )
