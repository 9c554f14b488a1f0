"""What the benchmarks work on: parts of the embedded images or of a file, and teachers with fresh weights."""

from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import torch

from cache_kd.models.checkpoint import save_weights
from cache_kd.models.normalise import KNOWN
from cache_kd.models.zoo import build


def small_images(path: Path, *, train: int, test: int = 64) -> Path:
    """The first images of Fashion-MNIST in an HDF5 file."""
    whole = Path(str(files("cache_kd.fashion_mnist").joinpath("fashion-mnist.h5")))
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for split, count in (("train", train), ("test", test)):
            target[f"{split}/images"] = source[f"{split}/images"][:count]
            target[f"{split}/labels"] = source[f"{split}/labels"][:count]
    return path


def colour_images(path: Path, count: int, *, classes: int = 100) -> Path:
    """`count` training images of 32x32x3 in an HDF5 file: Fashion-MNIST in colours, framed, labels in turn.

    Args:
        path: of the file.
        count: any number; the images come again in other colours.
        classes: number of labels.
    """
    whole = Path(str(files("cache_kd.fashion_mnist").joinpath("fashion-mnist.h5")))
    with h5py.File(whole) as source:
        grey = np.pad(source["train/images"][:], ((0, 0), (2, 2), (2, 2)))[..., None]
    colours = np.random.default_rng(0).integers(64, 256, size=(count, 1, 1, 3), dtype=np.uint16)
    with h5py.File(path, "w") as target:
        images = target.create_dataset("train/images", (count, 32, 32, 3), np.uint8)
        for start in range(0, count, len(grey)):
            block = colours[start : start + len(grey)]
            images[start : start + len(block)] = grey[: len(block)] * block // 255
        target["train/labels"] = np.arange(count) % classes
    return path


def images_of(data: Path, path: Path, count: int) -> Path:
    """The first `count` training images of the HDF5 file `data` in another one; where it has fewer, they come again."""
    with h5py.File(data) as source, h5py.File(path, "w") as target:
        target.attrs.update(source.attrs)  # the names of classes that may have no image here
        for what in ("images", "labels"):
            found = source[f"train/{what}"][:count]
            target[f"train/{what}"] = np.resize(found, (count, *found.shape[1:]))
    return path


def demo_teacher(
    name: str, path: Path, *, classes: int = 10, channels: int = 1, normalise: str = "fashion-mnist"
) -> Path:
    """Fresh weights of the model `name`: a forward pass costs the same whether they are trained or not."""
    torch.manual_seed(0)
    about = {"classes": classes, "normalise": KNOWN[normalise].model_dump()}
    save_weights(build(name, classes=classes, channels=channels), path, about)
    return path
