"""Writes soft labels in the form in which FKD's generator leaves them; made here after that form, not by its code.

One torch file per image: a list of three numpy arrays, boxes float32 [crops, 4] as shares of the picture, flips bool
[crops], and labels of one of four kinds: class indices [crops]; or index and probability in one float array [crops, 2]
or [crops, 2, top]. Its path is the last three folders of the image's and the name up to its first dot, then `.tar`.
"""

import numpy as np
import torch
from PIL import Image

CROPS, CLASSES, TEMPERATURE = 3, 10, 4.0


def write_images(top, pictures, labels):
    """PNG files below `top`/train/CLASS; their paths in the order of the samples of a folder source."""
    paths = []
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        folder = top / "train" / f"class.{label}"  # dots in folders are no dots in names
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{number:03}.png")
        Image.fromarray(picture).save(paths[-1])
    return sorted(paths)


def draw_crops(generator, height, width, crops=CROPS):
    """Boxes and flips as a random resized crop draws them, boxes in whole pixels."""
    sides = np.column_stack([generator.integers(4, side + 1, crops) for side in (height, width)])
    corner = (generator.random((crops, 2)) * ([height, width] - sides + 1)).astype(int)
    shares = np.concatenate([corner, sides], axis=1) / [height, width, height, width]
    return shares.astype(np.float32), generator.random(crops) < 0.5


def label_of(probabilities, kind):
    """What the generator keeps of a softmax, float32 [crops, classes]."""
    order = torch.argsort(torch.from_numpy(probabilities), dim=1, descending=True).numpy()
    if kind == "hard":
        return order[:, 0]
    top = {"smoothing": 1, "marginal_smoothing_k5": 5, "marginal_smoothing_k10": 10}[kind]
    kept = np.take_along_axis(probabilities, order[:, :top], axis=1)
    both = np.stack([order[:, :top].astype(np.float32), kept], axis=1)
    return both[:, :, 0] if kind == "smoothing" else both


def save(path, boxes, flips, labels, *, half=False):
    """One file; `half` as --use_fp16 leaves it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save([np.float16(boxes), flips, np.float16(labels)] if half else [boxes, flips, labels], path)


def file_of(folder, image):
    """Where the soft labels of an image are."""
    *_, split, name, file = image.as_posix().split("/")
    above = image.parts[-4]
    return folder / above / split / name / f"{file.split('.')[0]}.tar"
