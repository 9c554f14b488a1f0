"""Images and labels that lie in memory, and the checks that every array of images or labels passes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache_kd.errors import SourceError
from cache_kd.sources.fingerprint import fingerprint_of_images
from cache_kd.sources.remembered import Files, remembered
from cache_kd.sources.source import SourceSpec
from cache_kd.types import LabelArray, Pixels, Samples

# a label without named classes is below this, or below the number of images: 4 billion names would be made for one
# label of -1 that was written as uint32
MOST_UNNAMED = 2**20


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """One split in memory.

    Attributes:
        spec: what was opened.
        pixels: all images.
        all_labels: their labels.
        class_names: one per class.
        files: the files that hold all of this, if any; while they are unchanged the fingerprint is not computed again.
    """

    spec: SourceSpec
    pixels: Pixels
    all_labels: LabelArray
    class_names: tuple[str, ...]
    files: Files = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Values per pixel."""
        return int(self.pixels.shape[3])

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, samples: Samples) -> Pixels:
        """A copy of the images of `samples`."""
        picked: Pixels = self.pixels[samples]
        return picked

    def labels(self) -> LabelArray:
        """The labels of all samples."""
        return self.all_labels

    def fingerprint(self) -> str:
        """Over all pixels and labels; computed once, about 1 s per GB."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return remembered(
            self.files,
            f"fingerprint {self.spec.split}",
            lambda: fingerprint_of_images(self.images, self.pixels.shape, self.all_labels),
        )


def array_source(
    spec: SourceSpec, images: Any, labels: Any, class_names: tuple[str, ...] | None = None, files: Files = ()
) -> ArraySource:
    """A source over arrays that anybody made, checked; without `class_names` the classes are 0 … largest label.

    Args:
        spec: what was opened.
        images: uint8 [N, height, width, channels] or [N, height, width].
        labels: integers [N].
        class_names: one per class.
        files: the files that hold all of this, if any.

    Raises:
        SourceError: wrong type, shape, number or range.
    """
    origin = f"{spec.data} ({spec.split})"
    pixels, whole = _array(images, "images", origin), _array(labels, "labels", origin)
    check_images(pixels.dtype, pixels.shape, origin)
    checked = check_labels(whole, len(pixels), origin, class_names)
    return ArraySource(
        spec=spec,
        pixels=pixels.reshape(shape_with_channels(pixels.shape)),
        all_labels=checked,
        class_names=class_names or numbered(checked),
        files=files,
    )


def check_images(dtype: np.dtype[Any], shape: tuple[int, ...], origin: str) -> None:
    """Refuse what is not a stack of uint8 images.

    Raises:
        SourceError: says what was found, what was expected, and the mend.
    """
    if dtype != np.uint8:
        raise SourceError(f"{origin}: images are {dtype}; expected uint8, 0 to 255. Convert them, without normalising.")
    if len(shape) not in (3, 4):
        raise SourceError(
            f"{origin}: images have shape {list(shape)}; expected [N, height, width, channels] or [N, height, width]."
        )
    if 0 in shape:
        raise SourceError(f"{origin}: images have shape {list(shape)}, so there are none; expected at least one.")
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] > 4:
        raise SourceError(
            f"{origin}: images have shape {list(shape)}, channels first; expected [N, height, width, channels]. "
            "Transpose them with .transpose(0, 2, 3, 1)."
        )


def check_labels(
    labels: NDArray[Any], images: int, origin: str, class_names: tuple[str, ...] | None = None
) -> LabelArray:
    """`labels` as int64.

    Raises:
        SourceError: not one integer per image, none at all, negative, or beyond the classes.
    """
    if labels.dtype.kind not in "iu":
        raise SourceError(f"{origin}: labels are {labels.dtype}; expected integers. Convert them to class indices.")
    if labels.ndim != 1:
        raise SourceError(f"{origin}: labels have shape {list(labels.shape)}; expected one class index per image, [N].")
    if len(labels) != images:
        raise SourceError(f"{origin}: there are {len(labels)} labels for {images} images; expected one for each.")
    if not images:
        raise SourceError(f"{origin}: there are no labels; expected at least one.")
    least, greatest = int(labels.min()), int(labels.max())
    if least < 0:
        row = int(labels.argmin())
        raise SourceError(f"{origin}: label {least} at sample {row}; expected 0 or more. Leave out unlabelled images.")
    row = int(labels.argmax())
    if class_names is None and greatest >= max(images, MOST_UNNAMED):
        raise SourceError(
            f"{origin}: label {greatest} at sample {row}; expected less than {max(images, MOST_UNNAMED):,} where the "
            "classes have no names. Mend the label, or number the classes from 0 on."
        )
    if class_names is not None and greatest >= len(class_names):
        raise SourceError(
            f"{origin}: label {greatest} at sample {row}, but there are {len(class_names)} classes; "
            f"expected 0 to {len(class_names) - 1}. Mend the label or the list of classes."
        )
    return labels.astype(np.int64)


def shape_with_channels(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """[N, height, width, channels], with one channel where `shape` has none."""
    count, height, width = shape[:3]
    return count, height, width, shape[3] if len(shape) == 4 else 1


def numbered(labels: LabelArray) -> tuple[str, ...]:
    """Names for classes that have none: "0", "1", … up to the largest label."""
    return tuple(str(number) for number in range(int(labels.max()) + 1))


def _array(values: Any, what: str, origin: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as fault:
        raise SourceError(
            f"{origin}: the {what} do not form one array ({fault}); expected images of one size, and one integer for "
            "each. Crop or resize them to one size."
        ) from None
