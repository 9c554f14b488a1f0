"""The check that repeats the dump's route on random rows: pictures, teacher and stored numbers, all three at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cache_kd.asking import last_layer_of, watch_last_layer
from cache_kd.device import DeviceName, Precision, resolve_device
from cache_kd.keyed.philox import words
from cache_kd.models.teacher import Teacher
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Rendering, Request
from cache_kd.store.codec import Answers
from cache_kd.store.damage import Damage, find_damage
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader
from cache_kd.store.record import knob_pieces
from cache_kd.store.witness import witness_views
from cache_kd.stored import open_stored_recipe, open_stored_source, open_stored_teacher
from cache_kd.types import Samples, ViewTensor
from cache_kd.witness import Verdict, compare

# Two runs of one float32 model on other batches or devices differ by rounding: at most 1e-6 of the largest
# logit was measured on CPU. A bf16 teacher keeps 8 bits, so its own reruns differ by up to 2 %.
RERUN_TOLERANCE: dict[Precision, float] = {"float32": 1e-4, "bf16": 2e-2}


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How the stored logits compare with the teacher's, over random rows."""

    deep: bool  # whether checksums of files were compared, and not their sizes alone
    rows: int = 0  # rendered again; none where files are at fault
    unasked: str | None = None  # why no teacher was asked about these rows, and what to do; None where one was
    largest_difference: float | None = None  # |stored - recomputed| over rows and classes; None where nobody was asked
    largest_excess: float | None = None  # by how much a row exceeds its tolerance; <= 0 where all rows hold
    worst: tuple[str, int, int] | None = None  # part, sample, view of the largest excess
    pixels_equal: bool = True  # of the rendered rows, by their digests
    witnesses: Verdict | None = None  # None where files are at fault
    faults: list[str] = field(default_factory=list)  # missing, torn, flipped or foreign files
    mends: list[str] = field(default_factory=list)  # what to do about the faults

    @property
    def holds(self) -> bool:
        """Whether everything that was compared is what it should be."""
        pixels_hold = self.pixels_equal and (self.witnesses is None or self.witnesses.kind == "exact")
        logits_hold = self.largest_excess is None or self.largest_excess <= 0
        return logits_hold and pixels_hold and not self.faults


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

    A row holds where |stored - recomputed| <= the codec's own bound + the rounding of another batch or device. An
    ensemble has no teacher, and imported logits have none that is known: unless a `checkpoint` is given for them, only
    files and pixels are compared.

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
    with Reading(path):
        reader = Reader.examine(path)
        manifest = reader.manifest
        damage = find_damage(path, manifest, deep=deep)
        if damage.sentences:
            return Verification(deep=deep, faults=damage.sentences, mends=_mends(damage, manifest))
        recipe = open_stored_recipe(manifest, trust=trust, path=path)
        sources = {
            part: open_stored_source(manifest, part, data=data, root=root, trust=trust, path=path)
            for part in manifest.parts
        }
        unasked = None if checkpoint else _nobody_to_ask(manifest, path)
        teacher = None
        if unasked is None:
            teacher = open_stored_teacher(
                manifest, checkpoint=checkpoint, device=resolve_device(device), trust=trust, path=path, supposed=True
            )
        rendering = Rendering(sources=sources, recipe=recipe, seed=manifest.seed)
        witnesses = compare(reader, rendering, witness_views(manifest), teacher_on=teacher.device if teacher else None)
        differences = _differences(reader, rendering, teacher) if teacher else None
        rendered, pixels_equal = 0, True
        outcomes: list[_Row] = []
        with progress.task("verify", rows, "rows") as advance:
            for part, view, samples in _picked(manifest, rows, seed):
                pixels, found = rendering(Request(part, samples, view, digested=True))
                pixels_equal &= bool((found == reader.digests(part, view)[samples]).all())
                rendered += len(samples)
                if differences is not None:
                    outcomes += differences(pixels, part, view, samples)
                advance(len(samples))
    worst = max(outcomes, key=lambda outcome: outcome.excess, default=None)
    return Verification(
        deep=deep,
        rows=rendered,
        unasked=unasked,
        largest_difference=max((outcome.difference for outcome in outcomes), default=None),
        largest_excess=worst.excess if worst else None,
        worst=worst.where if worst else None,
        pixels_equal=pixels_equal,
        witnesses=witnesses,
    )


class _Row(NamedTuple):
    excess: float
    difference: float
    where: tuple[str, int, int]


def _differences(
    reader: Reader, rendering: Rendering, teacher: Teacher
) -> Callable[[ViewTensor, str, int, Samples], list[_Row]]:
    """What asks the teacher about rows that were rendered again, and holds the stored ones against its answers."""
    watched = watch_last_layer(teacher, reader.codec, rendering)

    def of(pixels: ViewTensor, part: str, view: int, samples: Samples) -> list[_Row]:
        again = teacher.logits(pixels)
        labels = torch.from_numpy(reader.labels(part)[samples]).to(again.device)
        allowed = torch.from_numpy(reader.codec.error_bounds(Answers(again, labels, last_layer_of(watched))))
        again = again.cpu()
        stored = torch.from_numpy(reader.view(part, view).rows(samples))
        allowed = allowed + RERUN_TOLERANCE[teacher.precision] * again.abs().amax(1, keepdim=True)
        difference = (stored - again).abs()
        both = zip((difference - allowed).amax(1).tolist(), difference.amax(1).tolist(), samples.tolist(), strict=True)
        return [_Row(excess, off, (part, sample, view)) for excess, off, sample in both]

    return of


def _nobody_to_ask(manifest: Manifest, path: Path) -> str | None:
    """Why a store's teacher cannot be asked without more ado, and what to do instead; None where it can."""
    if manifest.ensemble is not None:
        members = " and ".join(member.path for member in manifest.ensemble.members)
        return f"it is the mean of {members}, which have the teachers: kdcache verify each of them"
    if manifest.alignment == "unproven":
        return (
            f"they were imported, and their teacher's weights are not known: kdcache verify {path} --checkpoint WEIGHTS"
        )
    return None


def _mends(damage: Damage, manifest: Manifest) -> list[str]:
    """What to do about everything that is damaged, in sentences."""
    mends = []
    imported = manifest.alignment == "unproven" and manifest.ensemble is None
    irreplaceable = {piece.name for piece in knob_pieces(manifest)}
    if imported and any(piece.shard or piece.name in irreplaceable for piece, _ in damage.pieces):
        again = manifest.dump_command(damage.path)
        mends.append(f"Nobody but the imported files has these rows: kdcache rm {damage.path}, then {again}.")
    elif damage.metadata or damage.pieces:
        mends.append(f"kdcache repair {damage.path} redoes just these.")
    if damage.linked:
        mends.append(
            f"Links lead to some of the store's files: keep {damage.path / damage.linked[0]} until what they lead to "
            "stands in their place."
        )
    if damage.foreign:
        mends.append(
            f"Delete what does not belong to the store, or move it away; kdcache repair {damage.path} --remove-foreign "
            "deletes it."
        )
    return mends


def _picked(manifest: Manifest, rows: int, seed: int) -> Iterator[tuple[str, int, Samples]]:
    """Keyed random rows, spread evenly over the views of all parts."""
    places = [(part, view) for part, entry in manifest.parts.items() for view in range(entry.views)]
    for number, (part, view) in enumerate(places):
        count = rows // len(places) + (number < rows % len(places))
        if count:
            drawn = words(seed, f"verify {part}", np.arange(count), view, 1)[:, 0]
            yield part, view, np.unique(drawn.astype(np.int64) * manifest.parts[part].samples >> 32)
