"""Small labelled images in every form that a source takes, and a cache folder of the tests' own."""

import h5py
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
