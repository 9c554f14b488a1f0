"""How long the teacher of a store takes for an image on this machine: timed once for a comparison, on stored pixels."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, TypeAdapter, ValidationError

from cache_kd.config import Config
from cache_kd.device import resolve_device
from cache_kd.disk import mending
from cache_kd.errors import RunError
from cache_kd.files import write_whole
from cache_kd.store.reader import Reader
from cache_kd.stored import open_stored_teacher
from cache_kd.types import Logits, ViewTensor

WARM_UP = 2  # batches that are not timed
BATCHES = 10  # of which the median counts
LONGEST = 20.0  # seconds after which no further batch is begun


class TimedTeacher(Config):
    """The teacher of a store alone, without rendering.

    Attributes:
        store_id: of the store.
        name: of the teacher.
        seconds: for an image, on the way to the device included.
        batch_size: images of a forward pass.
        place: device and, on a CPU, threads.
    """

    store_id: str
    name: str
    seconds: Annotated[float, Field(gt=0)]
    batch_size: int
    place: str

    def __str__(self) -> str:
        """In words."""
        return f"{self.name} takes {1000 * self.seconds:.3g} ms an image (batches of {self.batch_size}, {self.place})"


def timed_teacher(
    path: Path,
    *,
    batch_size: int,
    device: str,
    threads: int,
    checkpoint: Path | None,
    trust: Sequence[str],
    remembered: Path,
) -> TimedTeacher:
    """Time the teacher of the store at `path`, as a live one would be asked; or what was timed here before.

    Args:
        path: of the store; the pixels are its witnesses, over and over.
        batch_size: images of a forward pass.
        device: `auto`, `cpu`, `cuda` or `mps`.
        threads: of a CPU.
        checkpoint: where the weights are now; None where the store says.
        trust: functions named by the store that may be imported.
        remembered: file of what was timed before.

    Raises:
        KdCacheError: the store cannot be read, or its teacher is not at hand.
        RunError: the file cannot be written.
    """
    reader = Reader.examine(path)
    manifest, where = reader.manifest, resolve_device(device)
    place = _place(where, threads)
    known = _read(remembered)
    for each in known:
        if (each.store_id, each.batch_size, each.place) == (manifest.store_id, batch_size, place):
            return each
    teacher = open_stored_teacher(manifest, checkpoint=checkpoint, device=where, trust=trust, path=path)
    witnesses = reader.witnesses(0)
    pixels = torch.from_numpy(np.resize(witnesses, (batch_size, *witnesses.shape[1:])))
    with _threads(threads):
        seconds = seconds_per_image(teacher.logits, pixels)
    timed = TimedTeacher(
        store_id=manifest.store_id, name=teacher.name, seconds=seconds, batch_size=batch_size, place=place
    )
    with mending(remembered, RunError, option="--out", again="run the same command again"):
        write_whole(remembered, json.dumps([each.model_dump() for each in (*known, timed)], indent=2).encode())
    return timed


def seconds_per_image(ask: Callable[[ViewTensor], Logits], pixels: ViewTensor) -> float:
    """The median over some batches of what `ask` takes for the same `pixels`, divided by their number."""
    began, seconds = time.perf_counter(), []
    for batch in range(WARM_UP + BATCHES):
        started = time.perf_counter()
        ask(pixels).cpu()  # the copy waits for the device
        if batch >= WARM_UP:
            seconds.append(time.perf_counter() - started)
        if seconds and time.perf_counter() - began > LONGEST:
            break
    return statistics.median(seconds) / len(pixels)


def _place(device: torch.device, threads: int) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {threads} thread(s)"


def _read(path: Path) -> list[TimedTeacher]:
    """What was timed before; nothing where the file is none of ours, which is then written anew."""
    try:
        return TypeAdapter(list[TimedTeacher]).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return []


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
