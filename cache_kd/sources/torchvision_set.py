"""The small data sets that torchvision reads into memory, by the names of their classes; nothing is downloaded."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from cache_kd.errors import SourceError, did_you_mean
from cache_kd.sources.arrays import ArraySource, array_source
from cache_kd.sources.source import SourceSpec

ARRAY_SETS = ("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "STL10", "SVHN", "USPS")
CHANNELS_FIRST = ("STL10", "SVHN")


def known_set(name: str) -> str | None:
    """The name as torchvision writes it, whatever the case and hyphens, or None.

    >>> known_set("cifar-100")
    'CIFAR100'
    """
    return {known.lower(): known for known in ARRAY_SETS}.get(name.lower().replace("-", ""))


def open_torchvision_set(spec: SourceSpec) -> ArraySource:
    """One split of a torchvision data set that is already below `spec.root`.

    Raises:
        SourceError: no such data set, no root, or the data is not there or damaged.
    """
    name = known_set(spec.data)
    if name is None:
        raise SourceError(f"There is no data set {spec.data!r}; {did_you_mean(spec.data, ARRAY_SETS)}")
    if spec.root is None:
        raise SourceError(f"{name} needs --root, the folder that holds it; nothing is downloaded.")
    whole = _load(name, spec.root, spec.split)
    images = np.asarray(whole.data)
    if name in CHANNELS_FIRST:
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    labels = whole.labels if hasattr(whole, "labels") else whole.targets
    names = getattr(whole, "classes", None) or range(10)  # SVHN and USPS name no classes; both are of ten digits
    return array_source(spec, images, np.asarray(labels), tuple(str(name) for name in names))


def _load(name: str, root: str, split: str) -> Any:
    from torchvision import datasets

    kind = getattr(datasets, name)
    chosen = {"train": split == "train"} if "train" in inspect.signature(kind).parameters else {"split": split}
    try:
        return kind(root, download=False, **chosen)
    except ImportError as fault:
        raise SourceError(f"torchvision cannot read {name} without what it needs: {fault}. Install it.") from None
    except Exception as fault:  # damage shows as whatever torch, numpy or a decompressor raises
        said = " ".join(str(fault).split())
        fetch = f"torchvision.datasets.{name}({root!r}, download=True)"
        if isinstance(fault, FileNotFoundError) or "download=True" in said:
            raise SourceError(
                f"torchvision finds no {name} ({split}) at --root {root}: {said} It must be there already; nothing is "
                f"downloaded. Fetch it with {fetch}."
            ) from None
        # torch goes on to advise the loading of any pickle; the first sentence says what is wrong
        reason = f"{type(fault).__name__}: {said.partition('. ')[0]}"
        # a download leaves files alone that are there
        raise SourceError(
            f"torchvision cannot read {name} ({split}) at --root {root} ({reason}); {_place(name, root)} is damaged. "
            f"Delete it first, then fetch it with {fetch}."
        ) from None


def _place(name: str, root: str) -> Path:
    """What holds a data set that torchvision reads without comparing its md5 sum."""
    return Path(root) / ("usps*.bz2" if name == "USPS" else name)
