"""Which file of FKD's soft labels belongs to which image, by the ends of their paths."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cache_kd.errors import StoreMismatch

SUFFIX = ".tar"  # as FKD names them, though they are no archives
KEPT = 4  # of a path FKD keeps the last three folders and the name, up to its first dot


def files_of_images(folder: Path, images: Sequence[str]) -> list[Path]:
    """The file of each of `images`, anywhere below `folder`: whatever folders stand above that of the class.

    Args:
        folder: of the soft labels.
        images: relative to the folder of the classes, with forward slashes.

    Raises:
        StoreMismatch: an image has no file, a file no image, or they cannot be told apart.
    """
    sample_of = _samples_by_end(images)
    found: dict[int, str] = {}
    strangers = []
    for file in _label_files(folder):
        sample = next((sample_of[end] for end in _ends(file) if end in sample_of), None)
        if sample is None:
            strangers.append(file)
        elif sample in found:
            raise StoreMismatch(
                f"{folder} has two files for the image {images[sample]}: {found[sample]} and {file}. Pass the folder "
                "of one set of soft labels."
            )
        else:
            found[sample] = file
    missing = [image for sample, image in enumerate(images) if sample not in found]
    if missing:
        raise StoreMismatch(
            f"{len(missing):,} of {len(images):,} images have no file below {folder}, the first is {missing[0]}: "
            f"expected a file that ends in {_end(missing[0])}{SUFFIX}. Every image needs its own soft labels."
        )
    if strangers:
        raise StoreMismatch(
            f"{len(strangers):,} files below {folder} are of no training image, the first is {strangers[0]}. Pass "
            "--data with all images that the soft labels are of, or put those files elsewhere."
        )
    return [folder / found[sample] for sample in range(len(images))]


def _samples_by_end(images: Sequence[str]) -> dict[str, int]:
    """Each image by the path that FKD gives its file."""
    sample_of: dict[str, int] = {}
    for sample, image in enumerate(images):
        first = sample_of.setdefault(_end(image), sample)
        if first != sample:
            raise StoreMismatch(
                f"FKD writes one file, {_end(image)}{SUFFIX}, for the images {images[first]} and {image}: it cuts "
                "names at their first dot. Nobody knows whose soft labels that holds. Remove all but one of such "
                "images, or rename them and generate their soft labels again."
            )
    return sample_of


def _label_files(folder: Path) -> Iterator[str]:
    """Relative to `folder`, sorted within each folder."""
    for parent, below, names in os.walk(folder, followlinks=True):
        below.sort()
        above = Path(parent).relative_to(folder)
        yield from ((above / name).as_posix() for name in sorted(names) if name.endswith(SUFFIX))


def _end(path: str) -> str:
    *folders, name = path.split("/")
    return "/".join([*folders, name.split(".")[0]][-KEPT:])


def _ends(path: str) -> Iterator[str]:
    """The ends of a path, longest first: folders above the classes are those that no image has."""
    parts = _end(path).split("/")
    yield from ("/".join(parts[start:]) for start in range(len(parts)))
