"""The verdict on a machine's pictures: exactly the teacher's, a rounding away from them, or others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from cache_kd.config import Config
from cache_kd.device import describe_environment
from cache_kd.environment import changes, warn_of_changes
from cache_kd.errors import PixelMismatch, StoreMismatch
from cache_kd.keyed.philox import below, words
from cache_kd.rendering import Rendering, Request
from cache_kd.store.manifest import Manifest
from cache_kd.store.reader import Reader
from cache_kd.store.witness import witness_rows, witness_views
from cache_kd.store.writer import Writer
from cache_kd.types import AnyPicture, Samples, Views

# Mean |difference| of a row, of 255. Another release, processor or decoder rounds: up to 0.25, after steps on colour
# 0.5; the teacher's logits then move less than float16 moves them (KL 4e-6). A crop that is one pixel off, the
# smallest error of geometry, has a median of 4.3 (resized crops at 224) to 8.5 (32x32), and KL 1e-3.
LIMIT = 1.0
FURTHEST = 255.0  # of rows of two shapes: as far as pixels can be


class Verdict(Config):
    """How the pictures here compare with the witnesses of a store.

    Attributes:
        rows: how many were compared.
        differing: rows with any difference.
        beyond: rows over the limit.
        mean_difference: |stored - here| over all rows, of 255.
        largest_difference: the mean of the row that is furthest off; 255 where the shapes differ.
        sample: of that row.
        view: of that row.
        shapes: of that row, here and there, where they differ.
        changed: what is not as it was when the store was dumped.
    """

    rows: int
    differing: int
    beyond: int
    mean_difference: float
    largest_difference: float
    sample: int
    view: int
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None
    changed: tuple[str, ...]

    @property
    def kind(self) -> Literal["exact", "drift", "misalignment"]:
        """Exact where every byte is equal, misalignment where any row is over the limit."""
        return "misalignment" if self.beyond else "drift" if self.differing else "exact"

    def to_json(self) -> dict[str, Any]:
        """What a run's summary keeps."""
        return {"kind": self.kind, **self.model_dump(mode="json")}

    def __str__(self) -> str:
        """The verdict in a sentence or three: how far, which row, and why."""
        if self.kind == "exact":
            return f"all {self.rows} witness rows are equal"
        distance = f"is {self.largest_difference:.3g} of 255 off"
        if self.shapes is not None:
            here, there = ("x".join(map(str, shape)) for shape in self.shapes)
            distance = f"has {here} pixels here, {there} there"
        over = f", {self.beyond} by more than {LIMIT}" if self.beyond else ""
        since = "; ".join(self.changed) or "the recipe's code or the images, for the libraries are the same"
        return (
            f"{self.differing} of {self.rows} witness rows differ from what the teacher saw{over}, on average by "
            f"{self.mean_difference:.3g} of 255; the furthest, sample {self.sample} in view {self.view}, {distance}. "
            f"Changed since the dump: {since}."
        )


def witness_samples(manifest: Manifest, view: int) -> Samples:
    """The samples of a `view` whose pictures are kept: keyed, distinct, sorted; any set of them is as likely.

    References: Bentley and Floyd, Programming Pearls: A Sample of Brilliance, CACM 1987.
    """
    samples, count = manifest.parts["train"].samples, witness_rows(manifest, view)
    lasts = np.arange(samples - count, samples)
    drawn = below(words(manifest.seed, "witness", np.arange(count), view, 1)[:, 0], lasts + 1)
    chosen: set[int] = set()
    for last, sample in zip(lasts.tolist(), drawn.tolist(), strict=True):
        chosen.add(last if sample in chosen else sample)
    return np.array(sorted(chosen), dtype=np.int64)


def compare(
    reader: Reader, rendering: Rendering, views: Iterable[int], *, teacher_on: torch.device | None = None
) -> Verdict:
    """Render the witnesses of some `views` again, and measure how far they are from the stored ones.

    A store of four views, so 38 rows: 6 ms at 32x32, 0.13 s for photographs. Where libraries are not those of the
    dump, this warns in one line that names both.

    Args:
        reader: of the store.
        rendering: how its pictures are made here.
        views: at least one, all with witnesses.
        teacher_on: where a teacher is going to run, whose device is then compared too; None where none is.

    Raises:
        StoreDamaged: a file of witnesses is not what was written.
        KdCacheError: a picture cannot be read or rendered.
    """
    manifest = reader.manifest
    here = describe_environment(teacher_on or torch.device("cpu"))
    warn_of_changes(reader.path, changes(manifest.environment, here, "logits" if teacher_on else "pixels"))
    rows = [row for view in views for row in _rows(reader, rendering, view)]
    furthest = max(rows, key=lambda row: row.difference)
    shapes = furthest.here.shape, furthest.stored.shape
    code = rendering.recipe.changed()
    return Verdict(
        rows=len(rows),
        differing=sum(row.difference > 0 for row in rows),
        beyond=sum(row.difference > LIMIT for row in rows),
        mean_difference=float(np.mean([row.difference for row in rows])),
        largest_difference=furthest.difference,
        sample=furthest.sample,
        view=furthest.view,
        shapes=shapes if shapes[0] != shapes[1] else None,
        changed=(*changes(manifest.environment, here), *((code,) if code else ())),
    )


def judge(reader: Reader, rendering: Rendering) -> Verdict:
    """Compare all witnesses of a store: exact or drift.

    Raises:
        PixelMismatch: a row is over the limit; names the one that is furthest off, and what changed.
    """
    verdict = compare(reader, rendering, witness_views(reader.manifest))
    if verdict.kind == "misalignment":
        raise PixelMismatch(
            f"{reader.path}: {verdict} Use the versions of the dump, or dump again to another --store. "
            "Training on other pixels than the teacher's is what this check prevents."
        )
    return verdict


def demand_exact(reader: Reader, rendering: Rendering, teacher_on: torch.device | None = None) -> None:
    """See that what is about to be added to an interrupted or growing store is of the same pixels as what it holds.

    Args:
        reader: of the store.
        rendering: how its pictures are made here.
        teacher_on: where the teacher runs; None where none does.

    Raises:
        StoreMismatch: a witness is not exactly what is rendered here.
    """
    views = reader.witnessed_views()
    verdict = compare(reader, rendering, views, teacher_on=teacher_on) if views else None
    if verdict is not None and verdict.kind != "exact":
        raise StoreMismatch(
            f"{reader.path} cannot go on here: {verdict} Rows of two kinds of pixels must not meet in one store: "
            "use the versions of its dump, or pass another --store. Nothing was changed."
        )


def write_witnesses(writer: Writer, rendering: Rendering) -> None:
    """Render and write the witnesses that a store lacks, before the rows that they stand for.

    Raises:
        StoreError: the disk is full or cannot be written to.
        KdCacheError: a picture cannot be read or rendered.
    """
    for view in writer.pending_witnesses():
        writer.write_witnesses(view, _rendered(writer.manifest, rendering, view))


@dataclass(frozen=True, kw_only=True)
class _Row:
    sample: int
    view: int
    stored: AnyPicture
    here: AnyPicture

    @property
    def difference(self) -> float:
        if self.stored.shape != self.here.shape:
            return FURTHEST
        return float(np.abs(self.stored.astype(np.int16) - self.here).mean())


def _rows(reader: Reader, rendering: Rendering, view: int) -> Iterator[_Row]:
    samples = witness_samples(reader.manifest, view)
    both = zip(samples.tolist(), reader.witnesses(view), _rendered(reader.manifest, rendering, view), strict=True)
    for sample, stored, here in both:
        yield _Row(sample=sample, view=view, stored=stored, here=here)


def _rendered(manifest: Manifest, rendering: Rendering, view: int) -> Views:
    return rendering(Request("train", witness_samples(manifest, view), view)).pixels.cpu().numpy()
