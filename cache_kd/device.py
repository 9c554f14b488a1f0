"""Where and how precisely tensors are computed: auto, cpu, cuda or mps; float32 (TF32 off), bf16 or fp16."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Literal

import torch

from cache_kd.errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bf16"]  # of a teacher, whose logits may be too large for float16
TrainPrecision = Literal["float32", "bf16", "fp16"]


def resolve_device(name: str) -> torch.device:
    """The device that `name` means here; `auto` is cuda, else mps, else cpu.

    Raises:
        ConfigError: the device is not on this machine.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if present["cuda"] else "mps" if present["mps"] else "cpu")
    if not present.get(name.partition(":")[0], False):
        here = ", ".join(device for device, is_here in present.items() if is_here)
        raise ConfigError(f"--device {name}: this machine has no such device; it has {here}. Use --device auto.")
    return torch.device(name)


@contextmanager
def computing(device: torch.device, precision: TrainPrecision) -> Iterator[None]:
    """Matrix products in true float32 (TF32 off), or under bf16 or fp16 autocast, while the context is open."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        narrow = torch.float16 if precision == "fp16" else torch.bfloat16
        with torch.autocast(device.type, dtype=narrow, enabled=precision != "float32"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def describe_environment(device: torch.device) -> dict[str, str]:
    """Device and library versions, for manifests and run folders."""
    # a few ms, which commands that only show help need not pay
    from PIL import features

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": device.type,
        "device_name": name,
        "threads": str(torch.get_num_threads()),
        # torch's kernels round some pixels by the vector instructions they find
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        # asked of the installation: importing torchvision for its number would take a second
        **{library: version(library) for library in ("torch", "torchvision", "numpy", "pillow", "zarr")},
        # Pillow carries its own; without it JPEGs are decoded by another libjpeg
        "libjpeg_turbo": str(features.version("libjpeg_turbo")),
    }
