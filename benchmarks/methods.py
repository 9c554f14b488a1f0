"""Forward and backward of every method's loss against plain KD, and the memory it takes at its peak.

Claim: no method that works sample by sample takes over 3 times KD's time or 4 times its memory.

python benchmarks/methods.py [--size 512x100 ...] [--rounds 31] [--device cpu|cuda] [--compile] [--json OUT]

One thread; the methods take turns within each round. On a CPU the process is started again with an allocator that keeps
its memory, as it does in a long training: otherwise every large array is asked of the system anew, and methods with
more of them pay for page faults. Peak memory is what one forward and backward holds beyond its inputs, in a process of
its own per method on a CPU.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from measure import interleave, ratios, write_json
from torch import Tensor

from cache_kd.distill import Method, needs_of, per_sample_loss
from cache_kd.methods import make_method, names

SIZES = ("512x100", "512x1000", "256x21841")
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


def main() -> None:
    """Run the sizes asked for and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", action="append", help="batch x classes; default: all three")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="time the compiled losses beside the plain ones")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    if arguments.memory_of:
        print(_peak(make_method(arguments.memory_of), _batch(arguments.size[0], device, views_of(arguments.memory_of))))
        return
    if device.type == "cpu" and not KEEP_MEMORY.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_MEMORY})
    results = {size: _measure(size, device, arguments.rounds, arguments.compile) for size in arguments.size or SIZES}
    if arguments.json is not None:
        write_json(arguments.json, {"title": "losses against plain KD", "device": str(device), "sizes": results})


def _measure(size: str, device: torch.device, rounds: int, compiled: bool) -> dict[str, object]:
    chosen = names()
    functions = {name: _step(make_method(name), size, device) for name in chosen}
    timings = interleave(functions, rounds)
    gains = {name: _gain(name, size, device, rounds) for name in chosen} if compiled else {}
    memory = {name: _memory(name, size, device) for name in chosen}
    relative = ratios(timings, "kd")
    print(f"{size} on {device} (n={rounds}; median; ratio to kd by round, quartiles)")
    table: dict[str, object] = {}
    for name in chosen:
        by_sample = not needs_of(make_method(name)).batch
        low, high = relative[name].spread
        gain = gains.get(name)
        print(
            f"  {name:<11} {timings[name].median * 1e3:9.3f} ms  x {relative[name].median:6.2f} [{low:.2f}, {high:.2f}]"
            f"  memory {memory[name] / 1e6:8.1f} MB  x {memory[name] / memory['kd']:5.2f}"
            + (f"  compiled {gain:5.2f} x faster" if gain else "")
            + ("" if by_sample else "  (over the batch)")
        )
        table[name] = {
            "milliseconds": timings[name].median * 1e3,
            "ratio": relative[name].median,
            "ratio_quartiles": [low, high],
            "n": rounds,
            "peak_bytes": memory[name],
            "memory_ratio": memory[name] / memory["kd"],
            "compiled_gain": gain,
            "by_sample": by_sample,
        }
    return table


def _gain(name: str, size: str, device: torch.device, rounds: int) -> float:
    """How many times faster the compiled loss is, the two in turns."""
    pair = {part: _step(make_method(name), size, device, compiled=part == "compiled") for part in ("plain", "compiled")}
    gain = ratios(interleave(pair, rounds), "compiled")["plain"].median
    torch.compiler.reset()  # the next method is the same code with another closure
    return gain


def _step(method: Method, size: str, device: torch.device, *, compiled: bool = False) -> Callable[[], object]:
    student, teacher, labels = _batch(size, device, method.views)

    def loss(logits: Tensor) -> Tensor:
        return per_sample_loss(method, logits, teacher, labels).mean()

    called = torch.compile(loss, fullgraph=True) if compiled else loss

    def step() -> None:
        leaf = student.detach().requires_grad_()
        called(leaf).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _batch(size: str, device: torch.device, views: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits that agree as a student's and a teacher's do; with two views, half the samples of each."""
    batch, classes = (int(part) for part in size.split("x"))
    generator = torch.Generator().manual_seed(0)
    teacher = 3 * torch.randn(batch, classes, generator=generator)
    student = 0.5 * teacher + torch.randn(batch, classes, generator=generator)
    labels = torch.randint(classes, (batch // views,), generator=generator).repeat(views)
    return student.to(device), teacher.to(device), labels.to(device)


def views_of(name: str) -> int:
    """Views of each sample that a method takes."""
    return make_method(name).views


def _memory(name: str, size: str, device: torch.device) -> int:
    """Peak bytes of one step beyond its inputs; on a CPU from a process that asks the profiler for every allocation."""
    if device.type == "cuda":
        return _peak(make_method(name), _batch(size, device, views_of(name)))
    command = [sys.executable, __file__, "--memory-of", name, "--size", size, "--device", "cpu"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(method: Method, batch: tuple[Tensor, Tensor, Tensor]) -> int:
    student, teacher, labels = batch

    def step() -> None:
        leaf = student.detach().requires_grad_()
        per_sample_loss(method, leaf, teacher, labels).mean().backward()

    step()
    if student.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(profile_memory=True) as profile:
        step()
    held, peak = 0, 0
    for event in sorted(_allocations(profile), key=lambda event: event[0]):
        held += event[1]
        peak = max(peak, held)
    return peak


def _allocations(profile: torch.profiler.profile) -> list[tuple[int, int]]:
    """(time, bytes) of every allocation (positive) and release (negative)."""
    trace = Path(tempfile.gettempdir()) / f"cache-kd-{os.getpid()}.json"
    profile.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    trace.unlink()
    return [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]


if __name__ == "__main__":
    main()
