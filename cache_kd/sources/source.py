"""Labelled images by sample number: what names them, and what every kind of them can do."""

from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import BeforeValidator

from cache_kd.config import Config
from cache_kd.types import LabelArray, Pictures, Samples

SPLITS = ("train", "test")


def _versioned(backend: object) -> object:
    """A decoder named without its version is today's."""
    return f"{backend}/1" if backend in ("pillow", "torchvision") else backend


class Decoding(Config):
    """How image files become pixels.

    Attributes:
        backend: the decoder, with a version that counts up where its pixels change; `pillow` alone is `pillow/1`.
            `torchvision` decodes the JPEGs, to the same pixels, and leaves all other formats to Pillow.
        orientation: whether pictures that a camera held on its side are turned upright, as their EXIF says;
            torchvision's ImageFolder leaves them as they are stored.
        unreadable: what a file that cannot be decoded does: stop the work, or be left out, for which every file is
            decoded once beforehand.
    """

    backend: Annotated[Literal["pillow/1", "torchvision/1"], BeforeValidator(_versioned)] = "pillow/1"
    orientation: Literal["as stored", "exif"] = "as stored"
    unreadable: Literal["stop", "skip"] = "stop"


class SourceSpec(Config):
    """Which labelled images.

    Attributes:
        data: an HDF5 file, a folder of images, the name of a data set, or `package.module:function`.
        root: the folder that holds a data set of that name; nothing is downloaded.
        split: train or test.
        decode: how files become pixels; for a folder of images only, where None is the default.
        skipped: files that are left out of a folder of images, relative to the folder of the split; None where that is
            not known yet.
    """

    data: str
    root: str | None = None
    split: str = "train"
    decode: Decoding | None = None
    skipped: tuple[str, ...] | None = None


@runtime_checkable
class Source(Protocol):
    """Labelled images of one split; sample i is the same image and label for ever."""

    @property
    def spec(self) -> SourceSpec:
        """What was opened."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class, in the order of the labels."""

    @property
    def channels(self) -> int:
        """Values per pixel: 1 (grey) or 3 (RGB) as a rule."""

    def __len__(self) -> int:
        """Number of samples."""

    def images(self, samples: Samples) -> Pictures:
        """The images of `samples`, in that order; one array where they all have one size.

        Raises:
            SourceError: an image cannot be read.
        """

    def labels(self) -> LabelArray:
        """The labels of all samples."""

    def fingerprint(self) -> str:
        """A hash over every image, every label and their order: equal means the same data."""
