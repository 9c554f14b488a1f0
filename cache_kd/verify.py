"""The check that repeats the dump's route on random rows: pictures, teacher and stored numbers, all three at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cache_kd.asking import last_layer_of, watch_last_layer
from cache_kd.device import DeviceName, Precision, resolve_device
from cache_kd.keyed.philox import words
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Rendering, Request
from cache_kd.store.codec import Answers
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader
from cache_kd.store.witness import witness_views
from cache_kd.stored import open_stored_recipe, open_stored_source, open_stored_teacher
from cache_kd.types import Samples
from cache_kd.witness import Verdict, compare

# Two runs of one float32 model on other batches or devices differ by rounding: at most 1e-6 of the largest
# logit was measured on CPU. A bf16 teacher keeps 8 bits, so its own reruns differ by up to 2 %.
RERUN_TOLERANCE: dict[Precision, float] = {"float32": 1e-4, "bf16": 2e-2}


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How the stored logits compare with the teacher's, over random rows."""

    rows: int = 0  # recomputed; none where files are at fault
    largest_difference: float = 0.0  # |stored - recomputed|, the largest over rows and classes
    largest_excess: float = 0.0  # by how much a row exceeds its tolerance; <= 0 where all rows hold
    worst: tuple[str, int, int] | None = None  # part, sample, view of the largest excess
    pixels_equal: bool = True  # of the recomputed rows, by their digests
    witnesses: Verdict | None = None  # None where files are at fault
    faults: list[str] = field(default_factory=list)  # missing, torn, flipped or foreign files

    @property
    def holds(self) -> bool:
        """Whether every row and every file is what it should be."""
        pixels_hold = self.pixels_equal and (self.witnesses is None or self.witnesses.kind == "exact")
        return self.largest_excess <= 0 and pixels_hold and not self.faults


def verify(
    path: Path,
    *,
    rows: int = 256,
    seed: int = 0,
    deep: bool = False,
    data: str | None = None,
    root: str | None = None,
    checkpoint: Path | None = None,
    device: DeviceName = "auto",
    trust: Sequence[str] = (),
    progress: Progress | None = None,
) -> Verification:
    """Render random rows of the store at `path` again, run the teacher on them and compare.

    A row holds where |stored - recomputed| <= the codec's own bound + the rounding of another batch or device.

    Args:
        path: of the store. Where files are missing or damaged they are named, and the teacher is not asked.
        rows: how many rows, spread over all views.
        seed: which rows.
        deep: also compare the checksum of every file.
        data: where the images are now, if they moved.
        root: the folder of a torchvision data set, if it moved.
        checkpoint: where the teacher's weights are now, if they moved.
        device: to run the teacher on.
        trust: functions named by the store that may be imported.
        progress: who watches.

    Raises:
        KdCacheError: the store, its images or its teacher cannot be opened, or are others.
    """
    progress = progress or Silent()
    reader = Reader.examine(path)
    manifest = reader.manifest
    faults = reader.check(deep=deep)
    if faults:
        return Verification(faults=faults)
    recipe = open_stored_recipe(manifest, trust=trust, path=path)
    sources = {
        part: open_stored_source(manifest, part, data=data, root=root, trust=trust, path=path)
        for part in manifest.parts
    }
    teacher = open_stored_teacher(
        manifest, checkpoint=checkpoint, device=resolve_device(device), trust=trust, path=path, supposed=True
    )
    rendering = Rendering(sources=sources, recipe=recipe, seed=manifest.seed)
    witnesses = compare(reader, rendering, witness_views(manifest), teacher_on=teacher.device)
    watched = watch_last_layer(teacher, reader.codec, rendering)
    outcomes: list[_Row] = []
    with progress.task("verify", rows, "rows") as advance:
        for part, view, samples in _picked(manifest, rows, seed):
            pixels, found = rendering(Request(part, samples, view, digested=True))
            again = teacher.logits(pixels)
            labels = torch.from_numpy(reader.labels(part)[samples]).to(again.device)
            allowed = torch.from_numpy(reader.codec.error_bounds(Answers(again, labels, last_layer_of(watched))))
            again = again.cpu()
            stored = torch.from_numpy(reader.view(part, view).rows(samples))
            allowed = allowed + RERUN_TOLERANCE[teacher.precision] * again.abs().amax(1, keepdim=True)
            difference = (stored - again).abs()
            excesses = (difference - allowed).amax(1)
            same = found == reader.digests(part, view)[samples]
            for row, sample in enumerate(samples):
                excess, off = float(excesses[row]), float(difference[row].amax())
                outcomes.append(_Row(excess, off, bool(same[row]), (part, int(sample), view)))
            advance(len(samples))
    worst = max(outcomes, key=lambda outcome: outcome.excess)
    return Verification(
        rows=len(outcomes),
        largest_difference=max(outcome.difference for outcome in outcomes),
        largest_excess=worst.excess,
        worst=worst.where,
        pixels_equal=all(outcome.same_pixels for outcome in outcomes),
        witnesses=witnesses,
    )


class _Row(NamedTuple):
    excess: float
    difference: float
    same_pixels: bool
    where: tuple[str, int, int]


def _picked(manifest: Manifest, rows: int, seed: int) -> Iterator[tuple[str, int, Samples]]:
    """Keyed random rows, spread evenly over the views of all parts."""
    places = [(part, view) for part, entry in manifest.parts.items() for view in range(entry.views)]
    for number, (part, view) in enumerate(places):
        count = rows // len(places) + (number < rows % len(places))
        if count:
            drawn = words(seed, f"verify {part}", np.arange(count), view, 1)[:, 0]
            yield part, view, np.unique(drawn.astype(np.int64) * manifest.parts[part].samples >> 32)
