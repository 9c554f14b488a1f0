"""Ratios that hold on a shared machine: functions timed in turns, medians with their spread, and where it ran."""

import json as json_module
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "torch", "torchvision", "pillow", "h5py", "zarr")


@dataclass(frozen=True)
class Timing:
    """Seconds of each round (or any other figure that was measured several times)."""

    seconds: list[float]

    @property
    def n(self) -> int:
        """Number of rounds."""
        return len(self.seconds)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile."""
        if self.n == 1:
            return self.median, self.median
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third


def interleave(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Time all `functions` in turns, once each per round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for counted in [False] + [True] * rounds:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if counted:
                seconds[name].append(time.perf_counter() - start)
    return {name: Timing(values) for name, values in seconds.items()}


def ratios(timings: Mapping[str, Timing], over: str) -> dict[str, Timing]:
    """How long each took relative to `over`, round by round, so that a slow moment of the machine cancels out."""
    below = timings[over].seconds
    return {
        name: Timing([mine / other for mine, other in zip(timing.seconds, below, strict=True)])
        for name, timing in timings.items()
    }


def report(
    title: str,
    timings: Mapping[str, Timing],
    *,
    over: str,
    json: Path | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Print median, quartiles and ratio to `over` of each timing; with `json`, write them and the machine too."""
    relative = ratios(timings, over)
    print(f"{title} (n={timings[over].n}; median, quartiles; ratio to {over!r} by round)")
    for name, timing in timings.items():
        low, high = timing.spread
        print(
            f"  {name:<24} {timing.median * 1e3:10.2f} ms  [{low * 1e3:.2f}, {high * 1e3:.2f}]"
            f"  x {relative[name].median:.3f}"
        )
    for name, fact in (facts or {}).items():
        print(f"  {name}: {fact}")
    if json is not None:
        write_json(json, {"title": title, **section(timings, over=over, facts=facts)})


def section(timings: Mapping[str, Timing], *, over: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `report` writes of one comparison, for results that hold several."""
    relative = ratios(timings, over)
    by_name = {name: {**figures(timing), "ratio": figures(relative[name])} for name, timing in timings.items()}
    return {"over": over, "timings": by_name, "facts": dict(facts or {})}


def figures(timing: Timing) -> dict[str, Any]:
    """Number, median and quartiles, for JSON."""
    return {"n": timing.n, "median": timing.median, "quartiles": list(timing.spread)}


def machine() -> dict[str, Any]:
    """Processor, threads and library versions."""
    import torch

    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
    }


def write_json(path: Path, results: Mapping[str, Any]) -> None:
    """`results` beside a description of the machine."""
    path.write_text(json_module.dumps({"machine": machine(), **results}, indent=2) + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
