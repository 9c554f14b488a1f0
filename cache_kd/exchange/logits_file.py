"""A file of logits that somebody already has: never unpickled, and left on the disk until rows are asked for."""

from pathlib import Path
from pickle import UnpicklingError
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
CHECKED_AT_ONCE = 2**22  # logits, 16 MiB as float32

# the first bytes of files
NPY, ZIP, HDF5 = b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF"
TORCH_BEFORE_1_6 = b"\x80\x02\x8a\x0al\xfc"


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
        raise ModelError(f"{path} cannot be read as --from {kind}: {_why(path, kind, fault)}") from None
    if isinstance(found, Tensor) and not (found.layout is torch.strided and found.device.type == "cpu"):
        raise ModelError(
            f"{path} holds a {'meta' if found.is_meta else found.layout} tensor; expected a dense one with its values. "
            "Save logits.to_dense()."
        )
    if not isinstance(found, Tensor) or found.dtype not in FLOATS or found.dim() not in (2, 3) or not found.numel():
        what = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ModelError(f"{path} holds {what}; expected one floating [samples, classes] or [views, samples, classes].")
    if found.numel() * found.element_size() > path.stat().st_size:
        raise ModelError(f"{path} claims {list(found.shape)} logits, more than it has bytes for. Save a plain tensor.")
    _refuse_probabilities(path, found.flatten(0, -2)[:LOOKED_AT].float())
    return found if found.dim() == 3 else found[None]


def demand_finite(path: Path, logits: ViewedLogits) -> None:
    """Read all logits of the file at `path` once, and refuse what no store can keep.

    Raises:
        ModelError: one is NaN or infinite as float32; names the first.
    """
    at_once = max(1, CHECKED_AT_ONCE // logits.shape[2])
    for view, rows in enumerate(logits):
        for start in range(0, len(rows), at_once):
            unfit = ~rows[start : start + at_once].float().isfinite()
            if bool(unfit.any()):
                row, column = unfit.nonzero()[0].tolist()
                where = f"view {view}, row {start + row}" if len(logits) > 1 else f"row {start + row}"
                raise ModelError(
                    f"{path}, {where}, class {column}: {rows[start + row, column].item()}; expected finite float32 "
                    "numbers. Correct the file. Nothing was written."
                )


def _torch_tensor(path: Path) -> object:
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return found.detach() if isinstance(found, Tensor) else found


def _npy_tensor(path: Path) -> Tensor:
    # copy on write: torch warns of arrays that are read-only
    return torch.from_numpy(np.lib.format.open_memmap(path, mode="c"))


def _why(path: Path, kind: LogitsFormat, fault: Exception) -> str:
    """What is wrong with a file and what to do, without torch's advice to unpickle it after all."""
    if isinstance(fault, OSError) and fault.strerror:
        return f"{fault.strerror}."
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(NPY) and kind == "torch":
        return "it is what numpy.save writes. Pass --from npy."
    if head.startswith(ZIP) and kind == "npy":
        return "it is a zip file, as torch.save writes. Pass --from torch, or save one array with numpy.save."
    if head.startswith(HDF5):
        return "it is HDF5. Leave out --from for what kdcache export wrote, else save one array with numpy.save."
    if head.startswith(TORCH_BEFORE_1_6) and kind == "torch":
        return "it is of torch before 1.6. Save it again: torch.save(torch.load(FILE, weights_only=True), FILE)."
    if isinstance(fault, UnpicklingError) and head.startswith(ZIP):
        return "it holds more than a tensor, and unpickling that could run any code. Expected torch.save(logits, FILE)."
    save = "torch.save(logits, FILE)" if kind == "torch" else "numpy.save(FILE, logits)"
    return f"it is torn, or holds something else than numbers. Expected what {save} writes."


def _refuse_probabilities(path: Path, rows: Tensor) -> None:
    if bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < ROUNDING).all()):
        raise ModelError(
            f"{path} holds probabilities: rows that add up to 1. Save the logits, before any softmax or temperature; "
            "methods that change the temperature cannot run from anything else."
        )
