"""Images in an HDF5 file: groups train and test, each with images and labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from cache_kd.errors import SourceError
from cache_kd.sources.arrays import array_source, check_images, check_labels, numbered, shape_with_channels
from cache_kd.sources.fingerprint import fingerprint_of_images
from cache_kd.sources.remembered import Files, remembered
from cache_kd.sources.source import SPLITS, Source, SourceSpec
from cache_kd.types import LabelArray, Pixels, Samples

# images that decompress to no more than this are held in memory
MEMORY_LIMIT = 2 * 2**30

# bytes of one image up to which one selection of many rows beats reading row by row, where rows lie uncompressed:
# 4 times faster at 0.8 kB, equal at 12 kB, 7 times slower at 150 kB; in compressed chunks always 2 to 30 times slower
SMALL_ROW = 12 * 2**10

LAYOUT = (
    "Expected groups 'train' and, if there is one, 'test', each with 'images' uint8 [N, height, width, channels] "
    "and 'labels' integers [N]."
)


def open_hdf5(spec: SourceSpec) -> Source:
    """One split of an HDF5 file, in memory if it decompresses to at most 2 GiB, else read batch by batch.

    The file's attribute `classes` names the classes; without it they are numbered up to the largest training label.

    Raises:
        SourceError: not HDF5, something is missing, or is not images and labels.
    """
    path = Path(spec.data)
    with _opened(path) as file:
        images, labels = _dataset(file, spec, "images"), _dataset(file, spec, "labels")
        names = _class_names(file, spec)
        files = (path,) if _lies_within(images, path) and _lies_within(labels, path) else ()
        if images.nbytes <= MEMORY_LIMIT:
            return array_source(spec, images[:], labels[:], names, files=files)
        origin = f"{spec.data} ({spec.split})"
        check_images(images.dtype, images.shape, origin)
        checked = check_labels(labels[:], len(images), origin, names)
        return Hdf5Source(
            spec=spec,
            shape=shape_with_channels(images.shape),
            all_labels=checked,
            class_names=names or numbered(checked),
            files=files,
        )


def hdf5_splits(spec: SourceSpec) -> tuple[str, ...]:
    """Which of train and test the file has.

    Raises:
        SourceError: not HDF5, or neither is there.
    """
    with _opened(Path(spec.data)) as file:
        present = tuple(split for split in SPLITS if split in file)
        if not present:
            raise SourceError(f"{spec.data} holds {sorted(file) or 'nothing'}. {LAYOUT}")
        return present


@dataclass(frozen=True, kw_only=True)
class Hdf5Source:
    """One split that stays in its file, which is opened for each batch (0.3 ms), so a forked process is safe.

    Attributes:
        spec: what was opened.
        shape: [N, height, width, channels].
        all_labels: the labels of all samples.
        class_names: one per class.
        files: see `arrays.ArraySource`.
    """

    spec: SourceSpec
    shape: tuple[int, int, int, int]
    all_labels: LabelArray
    class_names: tuple[str, ...]
    files: Files

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Values per pixel."""
        return self.shape[3]

    def __len__(self) -> int:
        return self.shape[0]

    def images(self, samples: Samples) -> Pixels:
        """The images of `samples`, read in the order in which they lie in the file."""
        rows, where = np.unique(samples, return_inverse=True)
        with _opened(Path(self.spec.data)) as file:
            dataset = file[f"{self.spec.split}/images"]
            if dataset.chunks is None and np.prod(self.shape[1:]) <= SMALL_ROW:
                found = dataset[rows]
            else:
                found = np.empty((len(rows), *dataset.shape[1:]), dtype=np.uint8)
                for target, row in enumerate(rows.tolist()):
                    dataset.read_direct(found, np.s_[row], np.s_[target])
        pixels: Pixels = found.reshape(len(rows), *self.shape[1:])
        # in order already, as the fingerprint asks for them: no second copy
        return pixels if np.array_equal(rows, samples) else pixels[where]

    def labels(self) -> LabelArray:
        """The labels of all samples."""
        return self.all_labels

    def fingerprint(self) -> str:
        """Over all pixels and labels; one pass over the file the first time, later one stat where nothing is linked."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return remembered(
            self.files,
            f"fingerprint {self.spec.split}",
            lambda: fingerprint_of_images(self.images, self.shape, self.all_labels),
        )


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise SourceError(f"{path} does not exist. Expected an HDF5 file; mind the working directory, {Path.cwd()}.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as fault:
        raise SourceError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as HDF5: {fault}. Copy or make the file again."
        ) from None


def _dataset(file: h5py.File, spec: SourceSpec, name: str) -> h5py.Dataset:
    group = file[spec.split]
    found = group.get(name) if isinstance(group, h5py.Group) else None
    if not isinstance(found, h5py.Dataset):
        inside = sorted(group) if isinstance(group, h5py.Group) else "no group"
        raise SourceError(f"{spec.data}: {spec.split!r} holds {inside}, no {name!r}. {LAYOUT}")
    if not found.shape:
        content = "nothing" if found.shape is None else "a single value"
        raise SourceError(f"{spec.data}: '{spec.split}/{name}' holds {content}. {LAYOUT}")
    return found


def _lies_within(dataset: h5py.Dataset, path: Path) -> bool:
    """Whether all values are in this very file, so that they are the same while it is unchanged."""
    linked = Path(dataset.file.filename) != path
    return not (linked or dataset.is_virtual or dataset.external)


def _class_names(file: h5py.File, spec: SourceSpec) -> tuple[str, ...] | None:
    """The attribute `classes`, else one number per class of the training labels, else None."""
    if "classes" in file.attrs:
        names = file.attrs["classes"]
        if np.ndim(names) != 1:
            raise SourceError(
                f"{spec.data}: the attribute `classes` is {names!r}; it holds the name of each class, or is not there."
            )
        return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    if spec.split == "train" or "train" not in file:
        return None
    train = _dataset(file, spec.model_copy(update={"split": "train"}), "labels")
    return numbered(check_labels(train[:], len(train), f"{spec.data} (train)"))
