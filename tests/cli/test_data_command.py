"""`kdcache data`: the list, one in full, what is there and what is not; and names where other commands take them."""

import json
import re
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch

from cache_kd.models.checkpoint import save_weights
from cache_kd.models.zoo import build
from cache_kd.sources.preset import PRESETS

TEACHER = "resnet8x0.5"
DOCS = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture
def cinic(tmp_path):
    whole = {part: layouts.pictures(20, 32, seed=seed) for seed, part in enumerate(("train", "valid", "test"))}
    layouts.cinic10(tmp_path / "DATA", whole)
    return tmp_path / "DATA"


@pytest.fixture
def weights(tmp_path):
    """Of a teacher that does not say how its images were normalised."""
    torch.manual_seed(0)
    save_weights(build(TEACHER, classes=10, channels=3), tmp_path / "teacher.safetensors", {"classes": 10})
    return tmp_path / "teacher.safetensors"


def test_the_list_holds_every_preset_and_says_what_is_there(kdcache, cinic, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, _ = kdcache("data", "--root", cinic)
    assert code == 0
    for preset in PRESETS:
        (row,) = re.findall(rf"│ {re.escape(preset.name)} +│.*", out)
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells[1:3] == [f"{preset.images['train']:,}", f"{preset.images['test']:,}"]
        assert cells[-1] == ("yes" if preset.name.startswith("cinic") else "no")


def test_the_names_to_type_stay_whole_where_the_table_is_too_wide(kdcache, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    listed = re.findall(r"^│ (\S+) +│", kdcache("data", "--root", "DATA")[1], re.MULTILINE)
    assert listed == [preset.name for preset in PRESETS]


def test_the_list_is_there_for_scripts(kdcache, cinic):
    listed = {entry["name"]: entry for entry in json.loads(kdcache("data", "--root", cinic, "--json")[1])}
    assert list(listed) == [preset.name for preset in PRESETS]
    assert listed["imagenet"]["images"] == {"train": 1_281_167, "test": 50_000}
    assert (listed["cinic-10"]["there"], listed["imagenet"]["there"]) == (True, False)
    assert str(cinic / "CINIC-10") in listed["cinic-10"]["places"]
    assert json.loads(kdcache("data", "--json")[1])[0]["there"] is None


def test_without_a_root_one_says_where_it_is_looked_for_and_how_to_get_it(kdcache):
    code, out, _ = kdcache("data", "TinyImageNet")
    assert code == 0
    for line in (
        "Tiny ImageNet: Le and Yang",
        "train 100,000, test 10,000 images of 200 classes, 64x64 pixels",
        "  DATA/tiny-imagenet-200",
        "  wget http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    ):
        assert line in out


def test_what_is_not_there_is_told_apart_from_what_is_wrong(kdcache, cinic):
    code, out, _ = kdcache("data", "imagenet", "--root", cinic)
    assert code == 1
    assert f"It is not below {cinic}." in out
    assert "To get it" in out
    code, out, _ = kdcache("data", "cinic-10", "--root", cinic)
    assert code == 1
    assert "To get it" not in out
    assert "train: 20 of 90,000 images, 10 classes of 2 each, 20 images decoded" in out
    assert "train: 10 classes do not have 9,000 images: 'airplane' 2, 'automobile' 2, 'bird' 2 and 7 more." in out
    code, out, _ = kdcache("data", "cinic-10", "--root", cinic, "--json")
    presence = json.loads(out)["presence"]
    assert (code, presence["state"], presence["splits"]["test"]["images"]) == (1, "wrong", 20)


def test_a_name_that_is_none_is_answered_with_the_nearest(kdcache):
    code, out, err = kdcache("data", "tinyimagnet")
    assert code == 1
    assert "did you mean 'tiny-imagenet'" in err
    assert "Traceback" not in out + err


def test_a_name_goes_through_every_command_and_defaults_are_said(kdcache, cinic, weights, tmp_path):
    named = ("--data", "cinic-10", "--root", cinic)
    store, sheet = tmp_path / "store", tmp_path / "sheet.png"
    teacher = ("--teacher", TEACHER, "--checkpoint", weights)
    code, _, err = kdcache("dump", *named, *teacher, "--views", 1, "--store", store, "--device", "cpu")
    assert code == 0, err
    assert "No --recipe is given: cifar, the usual one on CINIC-10." in err
    assert "says none: cinic10, the usual one on this data." in err
    assert kdcache("verify", store, "--rows", 8, "--device", "cpu")[0] == 0
    moved = cinic.rename(tmp_path / "elsewhere")
    train = ("train", "--student", TEACHER, "--epochs", 1, "--batch-size", 16, "--device", "cpu")
    code, _, err = kdcache(*train, "--store", store, "--method", "kd", "--root", moved, "--out", tmp_path / "cached")
    assert code == 0, err
    code, _, err = kdcache(*train, "--data", "cinic-10+valid", "--root", moved, "--out", tmp_path / "plain")
    assert code == 0, err
    assert "40 samples" in err
    assert "No --normalise is given: cinic10, the usual one on this data." in err
    assert kdcache("recipes", "cifar", "--data", "cinic-10", "--root", moved, "--out", sheet)[0] == 0
    assert sheet.exists()


def test_a_store_of_a_name_keeps_the_names_of_the_classes(kdcache, cinic, weights, tmp_path):
    from cache_kd.opened import open_store

    kdcache("dump", "--data", "cinic-10", "--root", cinic, "--teacher", TEACHER, "--checkpoint", weights, "--views", 1,
            "--store", tmp_path / "store", "--device", "cpu")  # fmt: skip
    store = open_store(tmp_path / "store")
    assert store.manifest.source.class_names == layouts.CINIC
    np.testing.assert_allclose(store.normalise.mean, (0.47889522, 0.47227842, 0.43047404))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_docs_say_what_the_preset_says(preset):
    (row,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{preset.name}` |")]
    numbers = [f"{preset.images[split]:,}" for split in ("train", "test")]
    for value in (*numbers, f"`{preset.recipe}`", f"`{preset.normalise}`"):
        assert value in row
    for command in preset.commands:
        assert command in DOCS.read_text()
