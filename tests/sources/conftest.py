"""Small labelled images in every form that a source takes, and a cache folder of the tests' own."""

import h5py
import layouts
import numpy as np
import pytest
from PIL import Image

from cache_kd.sources import remembered


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Where passes over all files are remembered in this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cache_kd" / "remembered"


@pytest.fixture
def settled(monkeypatch):
    """Files of the last two seconds count as settled, so that the cache is used at once."""
    monkeypatch.setattr(remembered, "SETTLED_NS", -(10**18))


@pytest.fixture(scope="session")
def pictures():
    """Twenty training and six test pictures of 8x9x3 with labels 0, 1, 2."""
    values = np.arange(26 * 8 * 9 * 3, dtype=np.uint32).reshape(26, 8, 9, 3)
    whole = (values * 2654435761 >> 13 & 255).astype(np.uint8)
    labels = np.arange(26) % 3
    return {"train": (whole[:20], labels[:20]), "test": (whole[20:], labels[20:])}


@pytest.fixture
def make_hdf5(tmp_path, pictures):
    """A function that writes an HDF5 file, after a function `change` has had its way with the open file."""

    def make(change=None, name="data.h5"):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for split, (images, labels) in pictures.items():
                file[f"{split}/images"], file[f"{split}/labels"] = images, labels
            if change:
                change(file)
        return path

    return make


@pytest.fixture
def tree(tmp_path, pictures):
    """A folder tree of PNG files with the training pictures under train and the test pictures under val."""
    top = tmp_path / "tree"
    for split, folder in (("train", "train"), ("test", "val")):
        for number, (picture, label) in enumerate(zip(*pictures[split], strict=True)):
            place = top / folder / f"class_{label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / f"{number:02}.png")
    return top


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes a module into the working directory and gives it a name of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    count = 0

    def write(text):
        nonlocal count
        count += 1
        name = f"own_images_{tmp_path.name.replace('-', '_')}_{count}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture(scope="session")
def named_root(tmp_path_factory):
    """A function that makes a small copy of a data set of files, once; (root, images and labels, classes)."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = _make(name, tmp_path_factory.mktemp("named"))
        return made[name]

    return make


def _make(name, root):
    if name.startswith("cinic-10"):
        whole = {part: layouts.pictures(20, seed=seed) for seed, part in enumerate(("train", "valid", "test"))}
        layouts.cinic10(root, whole)
        train = (whole["train"], np.arange(20) // 2)
        if name == "cinic-10+valid":  # by class, then by name: "train-…" comes before "valid-…"
            both = [part.reshape(10, 2, 8, 8, 3) for part in (whole["train"], whole["valid"])]
            train = (np.concatenate(both, axis=1).reshape(40, 8, 8, 3), np.arange(40) // 4)
        return root, {"train": train, "test": (whole["test"], np.arange(20) // 2)}, 10
    if name == "tiny-imagenet":
        whole = {"train": layouts.pictures(200), "test": layouts.pictures(200, seed=1)}
        layouts.tiny_imagenet(root, whole)
        return root, {split: (images, np.arange(200)) for split, images in whole.items()}, 200
    whole = {"train": layouts.pictures(1000), "test": layouts.pictures(30, seed=1)}
    layouts.imagenet(root, whole)
    return root, {split: (images, np.arange(len(images))) for split, images in whole.items()}, 1000
