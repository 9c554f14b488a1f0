"""What of a preset is there: found below a root, counted class by class, a few images decoded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cache_kd.errors import SourceError
from cache_kd.sources.open import open_source
from cache_kd.sources.preset import Preset
from cache_kd.sources.source import SPLITS, Source, SourceSpec

DECODED = 64  # images of each split, evenly spaced
NAMED = 3  # classes in a sentence


@dataclass(frozen=True, kw_only=True)
class Present:
    """One split.

    Attributes:
        images: found.
        expected: images that the preset has.
        classes: with at least one image.
        fewest: images of a class.
        most: likewise.
        decoded: images that were looked into.
    """

    images: int
    expected: int
    classes: int
    fewest: int
    most: int
    decoded: int


@dataclass(frozen=True, kw_only=True)
class Presence:
    """What is there of a preset below a root.

    Attributes:
        name: of the preset.
        state: whole; wrong, with its faults; or absent.
        place: the folder that holds it, where there is one.
        splits: those that could be opened.
        faults: a sentence for each thing that is missing or wrong.
    """

    name: str
    state: Literal["whole", "wrong", "absent"]
    place: str | None
    splits: dict[str, Present] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def is_present(preset: Preset, root: str) -> bool:
    """Whether its folder is below `root`; nothing in it is looked at."""
    return any((place / preset.marker).exists() for place in preset.places(root))


def look_into(preset: Preset, root: str) -> Presence:
    """List every image below `root`, compare with what the preset has, and decode a few of each split."""
    if not is_present(preset, root):
        return Presence(name=preset.name, state="absent", place=None)
    splits, faults = {}, []
    for split in SPLITS:
        spec = SourceSpec(data=preset.name, root=root, split=split)
        try:
            source = open_source(spec)
        except SourceError as fault:
            faults.append(f"{split}: {fault}")
            continue
        splits[split] = _present(preset, split, source)
        faults += [f"{split}: {fault}" for fault in (*_miscounted(preset, split, source), *_unseen(preset, source))]
    return Presence(
        name=preset.name,
        state="wrong" if faults else "whole",
        place=str(preset.place(root)),
        splits=splits,
        faults=tuple(faults),
    )


def _present(preset: Preset, split: str, source: Source) -> Present:
    counts = np.bincount(source.labels(), minlength=source.classes)
    return Present(
        images=len(source),
        expected=preset.images[split],
        classes=int((counts > 0).sum()),
        fewest=int(counts.min()),
        most=int(counts.max()),
        decoded=min(DECODED, len(source)),
    )


def _miscounted(preset: Preset, split: str, source: Source) -> Iterator[str]:
    """What the numbers of images say, overall and class by class."""
    if len(source) != preset.images[split]:
        yield f"{len(source):,} images; expected {preset.images[split]:,}."
    fewest, most = preset.per_class[split]
    expected = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    counts = np.bincount(source.labels(), minlength=source.classes)
    odd = np.flatnonzero((counts < fewest) | (counts > most)).tolist()
    if odd:
        named = ", ".join(f"{source.class_names[label]!r} {counts[label]:,}" for label in odd[:NAMED])
        more = f" and {len(odd) - NAMED:,} more" if len(odd) > NAMED else ""
        yield f"{len(odd):,} classes do not have {expected} images: {named}{more}."


def _unseen(preset: Preset, source: Source) -> Iterator[str]:
    """What is wrong with some of the images themselves."""
    for sample in np.unique(np.linspace(0, len(source) - 1, DECODED).astype(np.int64)):
        try:
            height, width, _ = source.images(np.array([sample]))[0].shape
        except SourceError as fault:
            yield str(fault)
            continue
        if preset.pixels is not None and (height, width) != (preset.pixels, preset.pixels):
            yield f"sample {sample} has {width}x{height} pixels; expected {preset.pixels}x{preset.pixels}."
