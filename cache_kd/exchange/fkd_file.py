"""One file of FKD's soft labels: the boxes of an image's crops, and the largest probabilities of each."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cache_kd.errors import ModelError
from cache_kd.models.checkpoint import UNREADABLE
from cache_kd.types import Recorded, TopProbabilities, TopRanks

# all that a pickle of numpy arrays names, under the names of numpy 1 and 2; nothing else is called
_MAKE_ARRAY = np.empty(0).__reduce__()[0]
ARRAYS_ALONE: list[Any] = [
    *((_MAKE_ARRAY, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "?")),
]

MOST_HALF = 2048  # float16 keeps every whole number up to here, and only every second one beyond
ROUNDING = 0.01  # of a sum of probabilities, or of two shares of a picture, in half precision

EXPECTED = "Expected what FKD's generate_soft_label.py saves: a list of boxes, flips and labels, as arrays."


class FkdFile(NamedTuple):
    """What was recorded of one image.

    Attributes:
        boxes: float32 [crops, 5].
        classes: int64 [crops, top].
        probabilities: float32 [crops, top].
        rounding: of a probability close to 1, as it was saved.
    """

    boxes: Recorded
    classes: TopRanks
    probabilities: TopProbabilities
    rounding: float


def read_fkd_file(path: Path, *, classes: int) -> FkdFile:
    """The crops in `path`; arrays are read from it, and nothing else is unpickled.

    Args:
        path: of one image's soft labels.
        classes: that the images have.

    Raises:
        ModelError: it cannot be read that way, or holds no probabilities of such classes over boxes.

    References: Shen and Xing, A Fast Knowledge Distillation Framework for Visual Recognition, ECCV 2022.
    """
    boxes, flips, labels = _arrays(path)
    if labels.ndim == 1:
        raise ModelError(
            f"{path} holds hard labels, class indices without probabilities, of which no logits can be made. "
            "Generate soft labels of another --label_type."
        )
    crops = len(boxes)
    shapes = (boxes.shape == (crops, 4), flips.shape == (crops,), labels.shape[:2] == (crops, 2), labels.ndim in (2, 3))
    kinds = (boxes.dtype.kind, flips.dtype.kind, labels.dtype.kind)
    if not crops or not all(shapes) or kinds != ("f", "b", "f"):
        found = ", ".join(f"{array.dtype} {list(array.shape)}" for array in (boxes, flips, labels))
        raise ModelError(
            f"{path} holds {found}; expected floating boxes [crops, 4], flips bool [crops], and labels [crops, 2, top] "
            "of class indices and probabilities."
        )
    if labels.dtype == np.float16 and classes > MOST_HALF:
        raise ModelError(
            f"{path} holds class indices as float16, which has only every second whole number beyond {MOST_HALF}: of "
            f"{classes:,} classes most are wrong. They cannot be told from right ones; generate the soft labels again "
            "without --use_fp16."
        )
    places, probabilities = labels.reshape(crops, 2, -1).astype(np.float32).transpose(1, 0, 2)
    _check_labels(path, places, probabilities, classes)
    recorded = np.column_stack([boxes, flips]).astype(np.float32)
    _check_boxes(path, recorded)
    return FkdFile(recorded, places.astype(np.int64), probabilities, float(np.finfo(labels.dtype).eps))


def _arrays(path: Path) -> list[NDArray[Any]]:
    try:
        with torch.serialization.safe_globals(ARRAYS_ALONE):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as fault:
        why = fault.strerror if isinstance(fault, OSError) else "it is no torch file, or holds more than arrays"
        raise ModelError(f"{path} cannot be read ({why}). {EXPECTED}") from None
    if not isinstance(found, list | tuple) or not all(isinstance(each, np.ndarray | torch.Tensor) for each in found):
        raise ModelError(f"{path} holds {type(found).__name__}. {EXPECTED}")
    if len(found) != 3:
        raise ModelError(f"{path} holds {len(found)} arrays. {EXPECTED}")
    return [np.asarray(each) for each in found]


def _check_labels(path: Path, places: TopProbabilities, probabilities: TopProbabilities, classes: int) -> None:
    strange = (places != np.rint(places)) | (places < 0) | (places >= classes)
    if strange.any():
        raise ModelError(
            f"{path} has the class index {places[strange][0]:g}; the images have {classes} classes, from 0. "
            "Pass --data with the images that the soft labels are of."
        )
    if (np.diff(np.sort(places)) == 0).any():
        raise ModelError(f"{path} has a crop with one class twice. {EXPECTED}")
    sums = probabilities.sum(1)
    if not ((probabilities >= 0).all() and (sums <= 1 + ROUNDING).all()):  # NaN is neither
        raise ModelError(f"{path} has probabilities that are negative, or add up to {sums.max():g}. {EXPECTED}")


def _check_boxes(path: Path, recorded: Recorded) -> None:
    start, sides = recorded[:, :2], recorded[:, 2:4]
    inside = (start >= 0) & (sides > 0) & (start + sides <= 1 + ROUNDING)
    if not inside.all():
        crop = int((~inside.all(1)).nonzero()[0][0])
        raise ModelError(
            f"{path} has the box {recorded[crop, :4].tolist()} for crop {crop}; expected top, left, height and width "
            "as shares of the picture."
        )
