"""Commands as a user meets them: help, results on stdout, one sentence and exit code 1 for what can be mended."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cache_kd.cli.main import main


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_with_an_example(kdcache, name):
    code, out, _ = kdcache(name, "--help")
    assert code == 0
    assert f"kdcache {name}" in out.split("Example")[1]


def test_help_and_import_do_not_load_torch():
    code = "import sys; import cache_kd, cache_kd.cli.main; print('torch' in sys.modules, 'zarr' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


URL = "s3://team/stores/resnet20"


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "resnet20.h5", "--store", URL),
        ("merge", "a", "b", "--store", URL),
        ("export", "stores/resnet20", URL),
        ("repair", URL),
        ("train", "--store", "stores/resnet20", "--student", "resnet8", "--out", URL),
    ],
)
def test_a_url_is_never_taken_for_a_folder(kdcache, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, err = kdcache(*arguments)
    assert code == 2
    assert f"{URL} is a bucket's, and this takes a path of this machine" in err
    assert list(tmp_path.iterdir()) == []


def test_methods_lists_every_method_with_what_it_needs(kdcache):
    from cache_kd.description import describe
    from cache_kd.methods import names

    code, out, _ = kdcache("methods", "--json")
    assert code == 0
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert sorted(listed) == names()
    assert listed["mlld"]["needs"] == "all logits, the batch, 2 views"
    assert listed["rc"]["roles"] == ["refine", "divergence"]
    table = kdcache("methods")[1]
    assert all(name in table for name in names())
    code, out, _ = kdcache("methods", "rld")
    assert out.startswith(describe("rld").text)
    for line in (
        "Knobs: alpha=1, beta=8, tau=4, sc_tau=1",
        "Its own: divergence",
        "Keeps its refinement: it is made for the teacher as it is",
        "--published cifar: sc_tau=4.0, soft_weight=0 at 0, 1 at 20 (linear)",
    ):
        assert line in out


def test_a_composition_from_the_shell_names_its_run(kdcache, stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("train", "--store", stores["float16"], "--student", "resnet8x0.5", "--epochs", 1, "--device", "cpu")
    code, out, err = kdcache(*arguments, "--refine", "la", "--temperature", "dtd")
    assert code == 0
    assert out.startswith("runs/resnet8x0.5-kd+la+dtd-s0")
    assert "kd+la+dtd · cached logits" in err
    code, _, err = kdcache(*arguments, "--method", "normkd", "--temperature", "lskd")
    assert code == 1
    assert "nothing of normkd would be left" in err
    code, _, err = kdcache(*arguments, "--method", "dkd", "--published", "cifar", "--out", "published")
    assert code == 0
    assert "soft_weight over the epochs: 0 at 0, 1 at 20 (linear)" in err


def test_two_teachers_from_the_shell(kdcache, stores, second_store, tmp_path):
    stored = ("--store", stores["float16"], "--store", second_store)
    code, _, err = kdcache(
        "train", *stored, "--student", "resnet8x0.5", "--method", "kd", "--fold", "draw", "--epochs", 1,
        "--out", tmp_path / "run", "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    assert "draw of 2 teachers, cached logits" in err


def test_the_whole_job_from_the_shell(kdcache, images, tmp_path):
    run, store = tmp_path / "teacher", tmp_path / "stores" / "a"
    code, out, _ = kdcache(
        "train", "--data", images, "--student", "resnet8x0.5", "--normalise", "fashion-mnist", "--epochs", 1,
        "--out", run, "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    assert "accuracy" in out
    dump = ("dump", "--data", images, "--teacher", "resnet8x0.5", "--checkpoint", run / "weights.safetensors",
            "--views", 2, "--store", store, "--device", "cpu")  # fmt: skip
    code, out, err = kdcache(*dump)
    assert code == 0
    assert "2 views x 512 images + 128 test images: 1,152 rows in" in err
    _, out, err = kdcache(*dump)
    assert "already there" in out
    assert "the teacher does not run" in err
    _, out, _ = kdcache(
        "train", "--store", store, "--student", "resnet8x0.5", "--method", "normkd", "--set", "knobs.tau=1.5",
        "--epochs", 1, "--out", tmp_path / "s", "--device", "cpu", "--json",
    )  # fmt: skip
    assert json.loads(out)["composition"] == {"method": "normkd", "knobs": {"tau": 1.5}}
    assert kdcache("verify", store, "--rows", 20, "--deep", "--device", "cpu")[0] == 0
    _, out, _ = kdcache("info", store, "--json")
    assert json.loads(out)["manifest"]["teacher"]["name"] == "resnet8x0.5"
    _, out, _ = kdcache("info", store)
    assert "complete" in out
    _, out, _ = kdcache("ls", tmp_path / "stores", "--json")
    assert [Path(entry["path"]).name for entry in json.loads(out)] == ["a"]


def test_which_of_several_sets_of_weights_is_the_teacher_is_one_sentence_on_stderr(
    kdcache, images, teacher_weights, tmp_path
):
    import torch
    from safetensors.torch import load_file

    weights = load_file(teacher_weights)
    torch.save({"model_ema": weights, "model": weights}, tmp_path / "both.pth")
    code, _, err = kdcache(
        "dump", "--data", images, "--teacher", "resnet8x0.5", "--checkpoint", tmp_path / "both.pth", "--views", 1,
        "--normalise", "fashion-mnist", "--store", tmp_path / "store", "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    (sentence,) = [line for line in err.splitlines() if line.startswith("Warning: ")]
    assert sentence.endswith("both.pth holds several sets of weights: 'model' is taken, 'model_ema' left.")
    assert "SeveralWeights" not in err


def test_a_rounding_of_pixels_is_one_sentence_on_stderr(kdcache, own_store, tmp_path, monkeypatch):
    from cache_kd.views.cifar import Cifar

    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    train = ("train", "--store", own_store, "--student", "resnet8x0.5", "--epochs", 2, "--device", "cpu", "--json")
    code, out, err = kdcache(*train, "--out", tmp_path / "run")
    assert code == 0
    assert json.loads(out)["pixels"]["kind"] == "drift"
    assert err.count("Warning: ") == 1
    assert "34 of 34 witness rows differ" in err
    assert "PixelDrift" not in err
    code, out, _ = kdcache("verify", own_store, "--rows", 20, "--device", "cpu")
    assert code == 1
    assert "Pixels: drift, 34 of 34 witness rows differ" in out
    assert "training here warns and goes on" in out
    assert "34 train views" in kdcache("info", own_store)[1]


def test_methods_are_listed_and_shown(kdcache):
    _, out, _ = kdcache("methods", "--json")
    assert {"kd", "normkd", "la", "dtd", "rld", "atkd"} <= {entry["name"] for entry in json.loads(out)}
    assert "2408.07703" in kdcache("methods", "rld")[1]
    assert kdcache("methods")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--store", "nowhere", "--student", "resnet8"), "nowhere"),
        (("info", "nowhere"), "nowhere"),
        (("verify", "nowhere"), "nowhere"),
        (("methods", "nromkd"), "did you mean 'normkd'"),
        (("train", "--data", "nowhere.h5", "--student", "resnet8"), "nowhere.h5"),
        (("train", "--resume", "nowhere"), "not a run folder"),
        (("dump", "--data", "CIFAR100", "--teacher", "resnet8", "--checkpoint", "x.pth", "--store", "s"), "root"),
        (("train", "--store", "s", "--student", "r", "--set", "epochs"), "has no '='"),
        (("train", "--store", "s", "--student", "r", "--device", "cuda:0"), "no such device|device"),
    ],
)
def test_what_can_be_mended_is_one_sentence_and_exit_code_1(kdcache, monkeypatch, tmp_path, arguments, words):
    import re

    monkeypatch.chdir(tmp_path)
    code, out, err = kdcache(*arguments)
    assert code == 1
    assert re.search(words, err)
    assert "Traceback" not in err + out
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("dump", "--data", "x.h5", "--teacher", "resnet8", "--checkpoint", "c", "--store", "s", "--views", "0"),
        ("dump", "--data", "x.h5", "--teacher", "resnet8", "--checkpoint", "c", "--store", "s", "--views", "-2"),
        ("dump", "--data", "x.h5"),
        ("train",),
        ("train", "--store", "s", "--student", "r", "--checkpoint", "c"),
        ("frobnicate",),
    ],
)
def test_wrong_usage_is_exit_code_2(kdcache, arguments):
    code, out, err = kdcache(*arguments)
    assert code == 2
    assert "Error" in err + out
