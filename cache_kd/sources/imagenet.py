"""ImageNet of 2012 as people have it: class folders, or the validation images flat beside a list of their labels."""

import csv
import re
from pathlib import Path
from typing import Any

from cache_kd.errors import SourceError
from cache_kd.sources.labelled import by_folder, by_list, read_lines
from cache_kd.sources.listing import Listing, class_folders

CLASSES = 1000
WNID = re.compile(r"n\d{8}")
KAGGLE = "LOC_val_solution.csv"
DEVKIT = "ILSVRC2012_devkit_t12/data"
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"


def list_imagenet(top: Path, split: str) -> Listing:
    """One split below `top`; `test` is the folder `val`, because the test images have no public labels.

    | split | where the images and labels may be |
    |---|---|
    | train | train/WNID/ |
    | test | val/WNID/, as torchvision's ImageNet unpacks it |
    | | val/ flat, with Kaggle's LOC_val_solution.csv in `top`, in val, or three folders up |
    | | val/ flat, with ILSVRC2012_devkit_t12/data in `top` or one folder up; reading its meta.mat takes scipy |

    Classes are the folders of train in sorted order, as torchvision counts them; their names are torchvision's.

    Raises:
        SourceError: not the thousand classes, or the validation images have no labels.
    """
    ids = class_folders(top / "train")
    stranger = next((of for of in ids if not WNID.fullmatch(of)), None)
    if stranger is not None or len(ids) != CLASSES:
        found = f"among them {stranger!r}" if stranger else f"such as {ids[0]}"
        raise SourceError(
            f"{top / 'train'} has {len(ids)} folders, {found}; ImageNet has {CLASSES}, named like n01440764. "
            f"Unpack the missing ones; a part of ImageNet is data of its own: --data {top}, without --root."
        )
    folder = top / ("train" if split == "train" else "val")
    if any((folder / of).is_dir() for of in ids):
        files = by_folder(folder, ids)
    else:
        origin, labels = _listed_labels(top)
        files = by_list(folder, labels, ids, origin=origin)
    return Listing(top=folder, files=files, class_names=_names(), class_ids=ids)


def _listed_labels(top: Path) -> tuple[Path, dict[str, str]]:
    """The class of each validation image by its name, and the list that says it."""
    for folder in (top, top / "val", *top.parents[2:3]):
        if (folder / KAGGLE).is_file():
            return folder / KAGGLE, _from_kaggle(folder / KAGGLE)
    for folder in (top, top.parent):
        if (folder / DEVKIT / TRUTH).is_file():
            return folder / DEVKIT / TRUTH, _from_devkit(folder / DEVKIT)
    raise SourceError(
        f"{top / 'val'} has no class folders, and no list of labels is there. Expected val/n01440764/ and so on, or "
        f"{top / KAGGLE} (Kaggle's), or {top / DEVKIT} (ILSVRC2012_devkit_t12.tar.gz, unpacked)."
    )


def _from_kaggle(path: Path) -> dict[str, str]:
    """Lines such as `ILSVRC2012_val_00048981,n03995372 85 1 499 272`, after a header."""
    rows = list(csv.reader(read_lines(path)))[1:]
    wrong = next((number for number, row in enumerate(rows, start=2) if len(row) < 2 or not WNID.match(row[1])), None)
    if wrong is not None:
        raise SourceError(
            f"{path}, line {wrong}: expected an image, a comma and a class such as n03995372. Get it again."
        )
    return {f"{row[0]}.JPEG": row[1].split()[0] for row in rows}


def _from_devkit(folder: Path) -> dict[str, str]:
    """Line i of the ground truth is the number of the class of image i; meta.mat says which id has which number."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise SourceError(
            f"{folder / META} is a MATLAB file; reading it takes scipy. Install it (pip install scipy), or put "
            f"Kaggle's {KAGGLE} there instead."
        ) from None
    try:
        synsets: Any = loadmat(folder / META, squeeze_me=True)["synsets"]
        ids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
        numbers = [int(line) for line in read_lines(folder / TRUTH)]
        return {f"ILSVRC2012_val_{at:08}.JPEG": ids[number] for at, number in enumerate(numbers, start=1)}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as fault:
        raise SourceError(f"{folder} is not the development kit of 2012 ({fault}). Unpack it again.") from None


def _names() -> tuple[str, ...]:
    # a second to import, so only where ImageNet is opened
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
