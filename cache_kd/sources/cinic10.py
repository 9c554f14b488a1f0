"""CINIC-10 as its archive has it: train, valid and test, each with ten class folders."""

from pathlib import Path

from cache_kd.sources.labelled import by_folder
from cache_kd.sources.listing import Listing

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def list_cinic10(top: Path, split: str) -> Listing:
    """One of the splits train and test; the folder `valid` is left alone."""
    return Listing(top=top / split, files=by_folder(top / split, CLASSES), class_names=CLASSES, class_ids=CLASSES)


def list_cinic10_with_valid(top: Path, split: str) -> Listing:
    """The same, with the images of `valid` in the training split, in one order by name."""
    if split == "test":
        return list_cinic10(top, split)
    parts = [by_folder(top, [f"{part}/{name}" for name in CLASSES]) for part in ("train", "valid")]
    files = tuple(sorted((*own, *more), key=_own_name) for own, more in zip(*parts, strict=True))
    return Listing(top=top, files=files, class_names=CLASSES, class_ids=CLASSES)


def _own_name(file: str) -> str:
    return file.rpartition("/")[2]
