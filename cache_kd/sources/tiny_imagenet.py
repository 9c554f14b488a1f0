"""Tiny ImageNet as its zip has it, or with the validation images moved into class folders."""

from pathlib import Path

from cache_kd.errors import SourceError
from cache_kd.sources.labelled import by_folder, by_list, read_lines
from cache_kd.sources.listing import Listing

CLASSES = 200
ANNOTATIONS = "val_annotations.txt"
IMAGES = "images"


def list_tiny_imagenet(top: Path, split: str) -> Listing:
    """One split below `top`; `test` is the folder `val`, because the images in `test` have no public labels.

    | split | where the images may lie |
    |---|---|
    | train | train/WNID/images/, as in the zip, or train/WNID/ |
    | test | val/images/ with val/val_annotations.txt, as in the zip; val/WNID/, val/WNID/images/ or val/images/WNID/ |

    Classes are the ids of wnids.txt in sorted order, which is the order that torchvision's ImageFolder, and so nearly
    every published model, counts in; the file itself has another one. Their names are those of words.txt.

    Raises:
        SourceError: a list is missing or broken, or the images lie elsewhere.
    """
    ids = tuple(sorted(line.strip() for line in read_lines(top / "wnids.txt")))
    if len(ids) != CLASSES:
        raise SourceError(
            f"{top / 'wnids.txt'} has {len(ids)} classes; Tiny ImageNet has {CLASSES}. Unpack its zip again."
        )
    folder = top / ("train" if split == "train" else "val")
    if (folder / IMAGES / ids[0]).is_dir():
        folder = folder / IMAGES
    if any((folder / of).is_dir() for of in ids):
        inside = {of: IMAGES for of in ids if (folder / of / IMAGES).is_dir()}
        files = by_folder(folder, ids, inside)
    elif (folder / IMAGES).is_dir():
        origin, folder = folder / ANNOTATIONS, folder / IMAGES
        files = by_list(folder, _annotations(origin), ids, origin=origin)
    else:
        raise SourceError(
            f"{folder} has neither the folder {IMAGES} nor folders such as {ids[0]}; expected Tiny ImageNet as "
            "tiny-imagenet-200.zip has it. Unpack the zip again."
        )
    return Listing(top=folder, files=files, class_names=_names(top / "words.txt", ids), class_ids=ids)


def _annotations(path: Path) -> dict[str, str]:
    """File name to class id; the lines have a box behind these two."""
    rows = [line.split("\t") for line in read_lines(path)]
    short = next((number for number, row in enumerate(rows, start=1) if len(row) < 2), None)
    if short is not None:
        raise SourceError(
            f"{path}, line {short}: expected a file name, a tab and a class such as n01443537. Get it again."
        )
    return {row[0]: row[1].strip() for row in rows}


def _names(path: Path, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The first word of each class's synonyms, or all of them where two classes share the first."""
    synonyms = dict(line.strip().split("\t", 1) for line in read_lines(path) if "\t" in line)
    whole = [synonyms.get(of, of) for of in ids]
    first = [names.partition(",")[0] for names in whole]
    return tuple(short if first.count(short) == 1 else full for short, full in zip(first, whole, strict=True))
