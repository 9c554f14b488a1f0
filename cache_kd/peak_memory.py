"""How much memory training takes at most: of the GPU where there is one, else of the whole process."""

from pathlib import Path

import torch

STATUS = Path("/proc/self/status")  # Linux; getrusage would count what a parent process held before it became this one


def forget_peak(device: torch.device) -> None:
    """Start measuring anew; the peak of a process cannot be forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """The largest number of bytes held at once; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if not STATUS.is_file():
        return None
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
