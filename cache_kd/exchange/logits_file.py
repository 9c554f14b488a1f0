"""A file of logits that somebody already has: never unpickled, and left on the disk until rows are asked for."""

from pathlib import Path
from tokenize import TokenError
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cache_kd.errors import ModelError
from cache_kd.models.checkpoint import UNREADABLE
from cache_kd.types import ViewedLogits

LogitsFormat = Literal["torch", "npy"]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

LOOKED_AT = 1024  # rows that are compared with probabilities
ROUNDING = 0.01  # of a sum of probabilities in half precision


def read_logits(path: Path, kind: LogitsFormat) -> ViewedLogits:
    """The logits [views, samples, classes] in `path`, mapped into memory; what is [samples, classes] is one view.

    Args:
        path: of the file.
        kind: `torch` for one tensor that torch.save wrote, `npy` for one array that numpy.save wrote.

    Raises:
        ModelError: the file cannot be read without unpickling, or does not hold such logits.
    """
    try:
        found = _torch_tensor(path) if kind == "torch" else _npy_tensor(path)
    except (*UNREADABLE, TokenError) as fault:  # the last is numpy's, of a torn header
        first = next(iter(str(fault).splitlines()), type(fault).__name__)
        save = "torch.save(logits, FILE)" if kind == "torch" else "numpy.save(FILE, logits)"
        raise ModelError(f"{path} cannot be read as --from {kind}: {first} Expected what {save} writes.") from None
    if not isinstance(found, Tensor) or found.dtype not in FLOATS or found.dim() not in (2, 3) or not found.numel():
        what = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ModelError(f"{path} holds {what}; expected one floating [samples, classes] or [views, samples, classes].")
    if found.numel() * found.element_size() > path.stat().st_size:
        raise ModelError(f"{path} claims {list(found.shape)} logits, more than it has bytes for. Save a plain tensor.")
    _refuse_probabilities(path, found.flatten(0, -2)[:LOOKED_AT].float())
    return found if found.dim() == 3 else found[None]


def _torch_tensor(path: Path) -> object:
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return found.detach() if isinstance(found, Tensor) else found


def _npy_tensor(path: Path) -> Tensor:
    # copy on write: torch warns of arrays that are read-only
    return torch.from_numpy(np.lib.format.open_memmap(path, mode="c"))


def _refuse_probabilities(path: Path, rows: Tensor) -> None:
    if bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < ROUNDING).all()):
        raise ModelError(
            f"{path} holds probabilities: rows that add up to 1. Save the logits, before any softmax or temperature; "
            "methods that change the temperature cannot run from anything else."
        )
