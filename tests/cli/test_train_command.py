"""`kdcache train` on the command line: what stands beside --resume, and where a run without --out lies."""

import shutil

import pytest

from cache_kd.rundir import RunFolder
from cache_kd.train import Data, TrainConfig, resumed_config


def begun(out, images):
    """A run that was killed before its first state."""
    config = TrainConfig(
        student="resnet8x0.5", out=out, data=Data(data=str(images), normalise="fashion-mnist"), epochs=1,
        batch_size=512, device="cpu",
    )  # fmt: skip
    RunFolder.create(out, config.model_dump(mode="json"))
    return out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--epochs", "7"), "--epochs"),
        (("--lr", "1e-5", "--student", "nosuchthing"), "--student, --lr"),
        (("--set", "epochs=7"), "--set"),
        (("--device", "cpu"), "--device"),
        (("--live-teacher",), "--live-teacher"),
        (("--out", "elsewhere"), "--out"),
        (("--preset", "cifar100"), "--preset"),
    ],
)
def test_an_option_that_would_change_a_begun_run_is_refused_by_name(kdcache, images, tmp_path, arguments, named):
    code, _, err = kdcache("train", "--resume", begun(tmp_path / "run", images), *arguments)
    assert code == 2
    assert f"as it was begun, and takes no {named}. Leave that out" in err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_run_goes_on_with_images_that_moved_as_its_own_advice_says(kdcache, images, tmp_path):
    run = begun(tmp_path / "run", tmp_path / "gone.h5")
    code, _, err = kdcache("train", "--resume", run)
    assert code == 1
    assert "gone.h5" in err
    moved = shutil.copy(images, tmp_path / "moved.h5")
    code, out, err = kdcache("train", "--resume", run, "--data", moved, "--workers", "0", "--json")
    assert code == 0, err
    assert '"epochs": 1' in out
    assert resumed_config(run).data.data == str(moved)


def test_a_run_without_out_is_named_after_what_its_file_says(kdcache, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('student = "resnet8x0.5"\nseed = 3\nepochs = 1\nbatch_size = 512\n')
    code, out, err = kdcache("train", "--config", "mine.toml", "--data", images, "--device", "cpu")
    assert code == 0, err
    assert out.startswith("runs/resnet8x0.5-ce-s3 ")


def test_a_file_may_name_the_folder_of_the_run(kdcache, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('out = "here"\nepochs = 1\nbatch_size = 512\n')
    code, out, err = kdcache(
        "train", "--config", "mine.toml", "--data", images, "--student", "resnet8x0.5", "--device", "cpu"
    )
    assert code == 0, err
    assert out.startswith("here ")


def test_a_number_for_the_temperature_is_one_sentence_with_the_knob_that_takes_it(kdcache, images, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("temperature = 4\n")
    for given in (("--set", "temperature=4"), ("--config", file)):
        code, out, err = kdcache("train", "--data", images, "--student", "resnet8", "--method", "kd", *given)
        assert code == 1
        assert "for kd at a temperature of 4 write --set knobs.tau=4" in err
        assert "Traceback" not in out + err
