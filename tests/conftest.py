"""A small part of the embedded images, a teacher of two epochs, and its stores; each made once per session."""

import os
import random
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import h5py
import pytest
import torch
from beartype._check.code import codemain
from hypothesis import settings
from safetensors import safe_open
from safetensors.torch import load_file, save_file

# a shared machine may stall any example for seconds; a check that decides about others' work draws the same every time
settings.register_profile("cache_kd", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("cache_kd")

# beartype checks one item of a list, and draws which from Python's global generator: in one thread, while in another a
# transform of somebody's own draws from it what its seed says, and gets another view
codemain.getrandbits = random.Random().getrandbits

TRAIN, TEST = 512, 128
STUDENT = "resnet8x0.5"


@pytest.fixture(autouse=True, scope="session")
def _quiet_machine(tmp_path_factory):
    """One thread: small convolutions gain nothing from two; and a cache folder of the tests' own."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """512 training and 128 test images of Fashion-MNIST in an HDF5 file."""
    whole = Path(str(files("cache_kd.fashion_mnist").joinpath("fashion-mnist.h5")))
    path = tmp_path_factory.mktemp("images") / "small.h5"
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for split, count in (("train", TRAIN), ("test", TEST)):
            target[f"{split}/images"] = source[f"{split}/images"][:count]
            target[f"{split}/labels"] = source[f"{split}/labels"][:count]
        target.attrs["classes"] = source.attrs["classes"]
    return path


@pytest.fixture(scope="session")
def teacher_weights(images, tmp_path_factory) -> Path:
    """Weights of a teacher that has seen something: two epochs of the demo's student model."""
    from cache_kd.train import Data, TrainConfig, train

    out = tmp_path_factory.mktemp("runs") / "teacher"
    data = Data(data=str(images), recipe="cifar", normalise="fashion-mnist")
    train(TrainConfig(student=STUDENT, out=out, data=data, epochs=2, batch_size=32, device="cpu"))
    return out / "weights.safetensors"


@pytest.fixture(scope="session")
def dump_config(images, teacher_weights):
    """A function that makes a DumpConfig for a path."""
    from cache_kd.dump import DumpConfig

    def make(store: Path | None, **changes) -> DumpConfig:
        knobs = {
            "data": str(images), "teacher": STUDENT, "checkpoint": teacher_weights, "store": store,
            "views": 2, "batch_size": 32, "device": "cpu",
        }  # fmt: skip
        return DumpConfig(**(knobs | changes))

    return make


@pytest.fixture(scope="session")
def stores(dump_config, tmp_path_factory) -> dict[str, Path]:
    """A finished store of two views for each dense codec."""
    from cache_kd.dump import dump

    root = tmp_path_factory.mktemp("stores")
    for codec in ("float32", "float16"):
        dump(dump_config(root / codec, codec=codec))
    return {codec: root / codec for codec in ("float32", "float16")}


@pytest.fixture(scope="session")
def second_weights(teacher_weights, tmp_path_factory) -> Path:
    """Another teacher of the same model: its classifier prefers other classes."""
    tensors = load_file(teacher_weights)
    tensors["fc.bias"] = tensors["fc.bias"] + torch.linspace(-2, 2, 10)
    with safe_open(teacher_weights, framework="pt") as file:
        path = tmp_path_factory.mktemp("second") / "second.safetensors"
        save_file(tensors, path, metadata=file.metadata())
    return path


@pytest.fixture(scope="session")
def second_store(dump_config, second_weights, tmp_path_factory) -> Path:
    """A finished float32 store of that teacher over the views of `stores`."""
    from cache_kd.dump import dump

    path = tmp_path_factory.mktemp("second") / "store"
    dump(dump_config(path, checkpoint=second_weights, codec="float32"))
    return path


@pytest.fixture
def own_store(stores, tmp_path) -> Path:
    """A copy of the float16 store that a test may damage."""
    return Path(shutil.copytree(stores["float16"], tmp_path / "store"))


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """A function that writes a module of a user's own; it can be imported by its name, which is given back."""
    names = []

    def write(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        names.append(name)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield place
    subprocess.run(["umount", str(place)], check=True)
