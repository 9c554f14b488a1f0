"""Weights on disk: written as safetensors, read without unpickling, known by a fingerprint."""

import hashlib
import json
import struct
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

from cache_kd.errors import ModelError
from cache_kd.files import write_whole

METADATA_KEY = "cache_kd"
# what torch.load raises for bytes that are not what torch.save wrote, or that want more than tensors: it runs a
# machine over them, and which of its parts stumbles is chance
UNREADABLE = (
    OSError, ValueError, TypeError, RuntimeError, EOFError, LookupError, AttributeError, ArithmeticError, MemoryError,
    AssertionError, struct.error, UnpicklingError,
)  # fmt: skip
_SHOWN = 3  # keys named in an error
_WRAPPINGS = ("state_dict", "model", "net")
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
            about = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as fault:
        raise ModelError(f"{path} cannot be read as safetensors: {fault}.") from None
    return about if isinstance(about, dict) else {}


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of `path` (.safetensors, or a torch file of tensors) into `model`.

    Wrappings that training code puts around a state dict are taken off: {"state_dict": …},
    {"model": …}, {"net": …} and the `module.` prefix of DataParallel.

    Raises:
        ModelError: no such file, not loadable without unpickling, or keys, shapes or kinds of numbers that do not fit.
    """
    weights = _read(path)
    expected = model.state_dict()
    # published weights may predate this counter of BatchNorm, which changes no output in eval mode
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = sorted(set(expected) - set(weights) - counters)
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
        raise ModelError(
            f"{path} does not fit {type(model).__name__} — {'; '.join(faults)}. "
            "Name the model that these weights were trained as, with the same number of classes."
        )
    model.load_state_dict(weights, strict=False)


def fingerprint(model: nn.Module) -> str:
    """Content hash of everything in the state dict that changes an output in eval mode."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        if name.endswith("num_batches_tracked"):
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
        first = next(iter(str(fault).strip().splitlines()), "")[:200]
        reason = f"{type(fault).__name__}: {first}" if first else type(fault).__name__
        raise ModelError(
            f"{path} does not load as plain tensors ({reason}). Files that need unpickling can run code and are "
            "refused: open it where you trust it and save only model.state_dict(), best as .safetensors."
        ) from None
    return _unwrap(content, path)


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    for _ in range(1 + len(_WRAPPINGS)):  # a mapping may hold itself
        if not isinstance(content, Mapping):
            break
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return {str(key).removeprefix("module."): value for key, value in content.items()}
        inner = next((content[key] for key in _WRAPPINGS if key in content), None)
        if inner is None:
            break
        content = inner
    found = f"keys {sorted(map(str, content))[:5]}" if isinstance(content, Mapping) else type(content).__name__
    raise ModelError(
        f"{path} holds no state dict (found {found}); "
        f"expected tensors, or them under {' or '.join(map(repr, _WRAPPINGS))}."
    )
