"""The data sets of the papers by name: what they consist of, how they are used, where they are looked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cache_kd.errors import SourceError
from cache_kd.sources.cinic10 import list_cinic10, list_cinic10_with_valid
from cache_kd.sources.imagenet import list_imagenet
from cache_kd.sources.listing import Listing
from cache_kd.sources.source import SourceSpec
from cache_kd.sources.tiny_imagenet import list_tiny_imagenet

ListSplit = Callable[[Path, str], Listing]  # the image files below a folder that belong to a split


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One data set, and how the literature trains on it.

    Attributes:
        name: what --data takes.
        title: as its authors write it.
        paper: where it comes from.
        images: in each split.
        per_class: fewest and most images of a class in each split.
        classes: number of them.
        pixels: height and width of every image; None where they differ.
        recipe: of the views, in words; `views.make_recipe` makes it.
        normalise: a name that `models.normalise` knows.
        note: what one has to know to compare with published numbers.
        folders: below --root, in the order in which they are looked for; "." is --root itself.
        marker: what lies in such a folder.
        url: whence it comes.
        commands: that put it there, run in --root.
        listing: its image files, given the folder and the split; None where torchvision reads it.
        torchvision: the class that reads it there.
    """

    name: str
    title: str
    paper: str
    images: Mapping[str, int]
    per_class: Mapping[str, tuple[int, int]]
    classes: int
    pixels: int | None
    recipe: str
    normalise: str
    note: str
    folders: tuple[str, ...]
    marker: str
    url: str
    commands: tuple[str, ...]
    listing: ListSplit | None = None
    torchvision: str | None = None

    def places(self, root: str) -> list[Path]:
        """Where it is looked for, in this order."""
        return [(Path(root) / folder).absolute() for folder in self.folders]

    def place(self, root: str) -> Path:
        """The folder below `root` that holds it.

        Raises:
            SourceError: there is none.
        """
        found = next((place for place in self.places(root) if (place / self.marker).exists()), None)
        if found is None:
            looked = ", ".join(str(place / self.marker) for place in self.places(root))
            raise SourceError(
                f"{self.title} is not below --root {root}; looked for {looked}. Nothing is downloaded: kdcache data "
                f"{self.name} says how to get it."
            )
        return found


CIFAR = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
CINIC = "Darlow et al., CINIC-10 Is Not ImageNet or CIFAR-10, 2018"
CINIC_FOLDERS = ("CINIC-10", "cinic-10", "CINIC10", "cinic10", ".")
CINIC_URL = "https://datashare.ed.ac.uk/handle/10283/3192"
CINIC_COMMANDS = (
    "wget https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
    "mkdir -p CINIC-10 && tar -xzf CINIC-10.tar.gz -C CINIC-10",
)

PRESETS = (
    Preset(
        name="cifar-10",
        title="CIFAR-10",
        paper=CIFAR,
        images={"train": 50_000, "test": 10_000},
        per_class={"train": (5000, 5000), "test": (1000, 1000)},
        classes=10,
        pixels=32,
        recipe="cifar",
        normalise="cifar10",
        note="As CIFAR-100, with its own normalisation.",
        folders=(".",),
        marker="cifar-10-batches-py",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        commands=(
            "wget https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "tar -xzf cifar-10-python.tar.gz",
        ),
        torchvision="CIFAR10",
    ),
    Preset(
        name="cifar-100",
        title="CIFAR-100",
        paper=CIFAR,
        images={"train": 50_000, "test": 10_000},
        per_class={"train": (500, 500), "test": (100, 100)},
        classes=100,
        pixels=32,
        recipe="cifar",
        normalise="cifar100",
        note="As the distillation benchmarks have it; tested on test, every published number is of it.",
        folders=(".",),
        marker="cifar-100-python",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        commands=(
            "wget https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "tar -xzf cifar-100-python.tar.gz",
        ),
        torchvision="CIFAR100",
    ),
    Preset(
        name="cinic-10",
        title="CINIC-10",
        paper=CINIC,
        images={"train": 90_000, "test": 90_000},
        per_class={"train": (9000, 9000), "test": (9000, 9000)},
        classes=10,
        pixels=32,
        recipe="cifar",
        normalise="cinic10",
        note="Trained on the folder train alone, the authors' suggested split; cinic-10+valid adds the folder valid.",
        folders=CINIC_FOLDERS,
        marker="train/airplane",
        url=CINIC_URL,
        commands=CINIC_COMMANDS,
        listing=list_cinic10,
    ),
    Preset(
        name="cinic-10+valid",
        title="CINIC-10 with its validation images",
        paper=CINIC,
        images={"train": 180_000, "test": 90_000},
        per_class={"train": (18_000, 18_000), "test": (9000, 9000)},
        classes=10,
        pixels=32,
        recipe="cifar",
        normalise="cinic10",
        note="Trained on train and valid together, the authors' second configuration; name it beside any number.",
        folders=CINIC_FOLDERS,
        marker="train/airplane",
        url=CINIC_URL,
        commands=CINIC_COMMANDS,
        listing=list_cinic10_with_valid,
    ),
    Preset(
        name="tiny-imagenet",
        title="Tiny ImageNet",
        paper="Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
        images={"train": 100_000, "test": 10_000},
        per_class={"train": (500, 500), "test": (50, 50)},
        classes=200,
        pixels=64,
        recipe="cifar",
        normalise="tiny-imagenet",
        note=(
            "Tested on val: the labels of the folder test are not public. Papers augment it each in their own way; the "
            "recipe is pad by 4, crop and flip, as on CIFAR."
        ),
        folders=("tiny-imagenet-200", "tiny-imagenet", "."),
        marker="wnids.txt",
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        commands=("wget http://cs231n.stanford.edu/tiny-imagenet-200.zip", "unzip -q tiny-imagenet-200.zip"),
        listing=list_tiny_imagenet,
    ),
    Preset(
        name="imagenet",
        title="ImageNet",
        paper="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
        images={"train": 1_281_167, "test": 50_000},
        per_class={"train": (732, 1300), "test": (50, 50)},
        classes=1000,
        pixels=None,
        recipe="rrc",
        normalise="imagenet",
        note="Tested on val: the labels of the test images are not public.",
        folders=(
            "imagenet",
            "ImageNet",
            "ILSVRC2012",
            "imagenet-1k",
            "ILSVRC/Data/CLS-LOC",
            "imagenet/ILSVRC/Data/CLS-LOC",
            ".",
        ),
        marker="train",
        url="https://image-net.org/download.php",
        commands=(
            "mkdir -p imagenet    # register, and put ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
            "ILSVRC2012_devkit_t12.tar.gz there",
            "pip install scipy",
            "python -c \"from torchvision.datasets import ImageNet; ImageNet('imagenet', 'train')\"",
            "python -c \"from torchvision.datasets import ImageNet; ImageNet('imagenet', 'val')\"",
        ),
        listing=list_imagenet,
    ),
)


def preset_named(data: str) -> Preset | None:
    """The preset of this name, whatever its case and hyphens, or None: `CIFAR100` is `cifar-100`.

    >>> preset_named("TinyImageNet").title
    'Tiny ImageNet'
    """
    return {plain(preset.name): preset for preset in PRESETS}.get(plain(data))


def preset_of(spec: SourceSpec) -> Preset | None:
    """The preset that `spec` names; without a root the name is that of a file or folder."""
    return preset_named(spec.data) if spec.root is not None else None


def plain(name: str) -> str:
    """A name without case and hyphens."""
    return name.lower().replace("-", "")
