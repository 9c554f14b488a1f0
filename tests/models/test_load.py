"""Weights that torchvision and timm publish, from the folder where these libraries keep what they downloaded."""

import os
import sys
import warnings
from pathlib import Path
from urllib.error import URLError

import h5py
import numpy as np
import pytest
import torch

from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ModelError
from cache_kd.models import timm_models, torchvision_models
from cache_kd.models.checkpoint import fingerprint, load_weights
from cache_kd.models.load import load_model
from cache_kd.models.teacher import load_teacher
from cache_kd.models.zoo import build
from cache_kd.store.reader import Reader
from cache_kd.stored import open_stored_teacher

CPU = torch.device("cpu")
NAME = "torchvision:mobilenet_v3_small"
FILE = "mobilenet_v3_small-047dcff4.pth"  # as torchvision calls what it downloads


@pytest.fixture
def downloaded(tmp_path, monkeypatch) -> Path:
    """An empty folder of downloads, on a machine without a network."""

    def refuse(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr("timm.models._builder.has_hf_hub", lambda necessary=False: False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def weights_of(name):
    torch.manual_seed(0)
    return build(name, classes=1000, channels=3)


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "default"])
def test_torchvisions_weights_bring_their_normalisation(downloaded, weights):
    torch.save(weights_of(NAME).state_dict(), downloaded / FILE)
    teacher = load_teacher(NAME, Path(weights), classes=1000, channels=3, device=CPU)
    assert teacher.fingerprint == fingerprint(weights_of(NAME))
    assert teacher.normalise.mean == (0.485, 0.456, 0.406)
    assert teacher.normalise.std == (0.229, 0.224, 0.225)
    assert teacher.logits(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).shape == (1, 1000)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("timm:mobilenetv3_small_050", "lamb_in1k"),
        ("timm:mobilenetv3_small_050", "default"),
        ("timm:mobilenetv3_small_050.lamb_in1k", "default"),
    ],
)
def test_timms_weights_bring_their_normalisation(downloaded, name, weights):
    file = torch.hub.urlparse(url_of("mobilenetv3_small_050.lamb_in1k")).path.rpartition("/")[2]
    torch.save(weights_of(name).state_dict(), downloaded / file)
    teacher = load_teacher(name, Path(weights), classes=1000, channels=3, device=CPU)
    assert teacher.fingerprint == fingerprint(weights_of(name))
    assert teacher.normalise.mean == (0.485, 0.456, 0.406)


def url_of(full):
    import timm

    return timm.get_pretrained_cfg(full).url


def test_a_store_of_published_weights_finds_its_teacher_again(downloaded, tmp_path, monkeypatch):
    """The manifest keeps the weights' name, not a path, and a library's model needs no --trust."""
    torch.save(weights_of(NAME).state_dict(), downloaded / FILE)
    monkeypatch.chdir(tmp_path)
    with h5py.File("images.h5", "w") as file:
        file["train/images"] = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3), dtype=np.uint8)
        file["train/labels"] = np.arange(4)
        file.attrs["classes"] = [str(label) for label in range(1000)]
    dump(DumpConfig(data="images.h5", teacher=NAME, checkpoint=Path("default"), store=tmp_path / "store", views=1))
    manifest = Reader.open(tmp_path / "store").manifest
    assert manifest.teacher.checkpoint == "default"
    teacher = open_stored_teacher(manifest, checkpoint=None, device=CPU, trust=(), path=tmp_path / "store")
    assert teacher.fingerprint == manifest.teacher.fingerprint


def test_a_file_of_ones_own_loads_into_a_librarys_model(tmp_path):
    torch.save({"model": build(NAME, classes=7, channels=3).state_dict()}, tmp_path / "mine.pth")
    loaded = load_model(NAME, tmp_path / "mine.pth", classes=7, channels=3)
    assert loaded.normalise is None
    with pytest.raises(ModelError, match="no checkpoint at"):
        load_model(NAME, tmp_path / "IMAGENET1K_V1", classes=7, channels=3)


@pytest.mark.parametrize(
    ("name", "weights", "classes", "mend"),
    [
        (NAME, "default", 10, r"mobilenet_v3_small default is a teacher of 1000 classes, the data has 10"),
        (NAME, "IMAGENET1K_V2", 1000, r"no weights 'IMAGENET1K_V2' .* did you mean 'IMAGENET1K_V1'"),
        ("torchvision:resnet18", "default", 1000, r"no network.*fetch https://\S+resnet18-f37072fd.pth .* put it at"),
        ("torchvision:resnt18", "default", 1000, r"did you mean 'resnet18'"),
        ("timm:resnet18", "a9_in1k", 1000, r"did you mean 'a3_in1k'"),
        ("timm:resnet18.a1_in1k", "a2_in1k", 1000, r"no weights 'a2_in1k' .* Known: a1_in1k, default"),
        ("timm:resnet18", "default", 1000, r"resnet18.a1_in1k cannot be had .*no network"),
        ("timm:resnt18", "default", 1000, r"did you mean 'resnet18'"),
        ("resnet8", "default", 10, r"There is no checkpoint at default"),
    ],
)
def test_what_cannot_be_had_is_named_with_the_mend(downloaded, name, weights, classes, mend):
    torch.save(weights_of(NAME).state_dict(), downloaded / FILE)
    with pytest.raises(ModelError, match=mend):
        load_model(name, Path(weights), classes=classes, channels=3)


@pytest.mark.parametrize("name", [NAME, "timm:resnet18"])
def test_published_weights_are_for_colour_images(downloaded, name):
    with pytest.raises(ModelError, match=r"these have 1"):
        load_model(name, Path("default"), classes=1000, channels=1)


def test_a_download_that_would_run_code_is_refused(downloaded, tmp_path):
    torch.save({"classifier": Trap(tmp_path / "ran")}, downloaded / FILE)
    with pytest.raises(ModelError, match="cannot be had"):
        load_model(NAME, Path("default"), classes=1000, channels=3)
    assert not (tmp_path / "ran").exists()


class Trap:
    """Unpickling this runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_without_timm_its_names_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match="pip install timm"):
        build("timm:resnet18", classes=10, channels=3)


def test_a_student_of_a_library_is_built_for_the_data():
    assert build("torchvision:squeezenet1_1", classes=5, channels=3).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert build("timm:mobilenetv3_small_050", classes=5, channels=1).eval()(torch.zeros(1, 1, 64, 64)).shape == (1, 5)
    with pytest.raises(ModelError, match="takes colour images, these have 1"):
        build("torchvision:resnet18", classes=10, channels=1)


@pytest.mark.parametrize("library", [torchvision_models, timm_models])
def test_every_published_weight_of_resnet18_says_what_it_needs(library):
    assert library.pictures("resnet18") == 224
    assert library.catalogue()["resnet18"]


def test_published_shapes_are_those_that_torchvision_states():
    """torchvision states the parameters of each of its weights; a model built for its classes has as many."""
    from torchvision import models

    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # of googlenet and inception, about their initialisation
        for name in ("resnet50", "vgg13", "densenet121", "vit_b_16"):
            stated = models.get_model_weights(name).DEFAULT.meta["num_params"]
            model = build(f"torchvision:{name}", classes=1000, channels=3)
            assert sum(parameter.numel() for parameter in model.parameters()) == stated


def test_a_misfit_names_keys_and_shapes(tmp_path):
    torch.save({"net": weights_of(NAME).state_dict()}, tmp_path / "mine.pth")
    with pytest.raises(ModelError, match=r"wrong shape: classifier\.3\.bias \[1000\] instead of \[7\]"):
        load_weights(build(NAME, classes=7, channels=3), tmp_path / "mine.pth")
