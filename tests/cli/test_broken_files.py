"""A tree with a broken file from the shell: one sentence, exit code 1, and the mend that it names."""

import json
import re

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from cache_kd.cli.main import main
from cache_kd.models.checkpoint import save_weights
from cache_kd.models.zoo import build


@pytest.fixture
def dump(tmp_path):
    """Runs `kdcache dump` over fifty files of which one is text; (exit code, stdout, stderr)."""
    for name in ("cat", "dog"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for number in range(25):
            Image.effect_noise((9, 8), 50).convert("RGB").save(tmp_path / "tree" / name / f"{number:02}.png")
    (tmp_path / "tree" / "cat" / "12.png").write_text("no picture")
    torch.manual_seed(0)
    about = {"classes": 2, "normalise": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    save_weights(build("resnet8x0.5", classes=2, channels=3), tmp_path / "weights.safetensors", about)

    def run(*options: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, [
            "dump", "--data", str(tmp_path / "tree"), "--teacher", "resnet8x0.5", "--checkpoint",
            str(tmp_path / "weights.safetensors"), "--store", str(tmp_path / "store"), "--views", "1",
            "--device", "cpu", *options,
        ])  # fmt: skip
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def test_a_broken_file_is_one_sentence_and_exit_code_1(dump):
    code, out, err = dump()
    assert code == 1
    assert "Traceback" not in out + err
    (sentence,) = [line for line in err.splitlines() if "cannot be decoded" in line]
    assert "cat/12.png (10 bytes) cannot be decoded: it is not of any image format" in sentence
    assert re.search(r"1 of the \d+ images of this batch", sentence)
    assert "--unreadable skip" in sentence


def test_the_mend_that_it_names_works_and_info_tells(dump, tmp_path):
    code, out, err = dump("--unreadable", "skip", "--decode", "torchvision", "--exif")
    assert code == 0
    assert "1 views x 49" in out
    assert "1 of 50 images in" in err
    shown = CliRunner().invoke(main, ["info", str(tmp_path / "store")], env={"COLUMNS": "200"}).stdout
    assert "torchvision/1, orientation exif, 1 unreadable files left out: cat/12.png" in shown
    manifest = json.loads(CliRunner().invoke(main, ["info", str(tmp_path / "store"), "--json"]).stdout)["manifest"]
    assert manifest["source"]["decode"] == {"backend": "torchvision/1", "orientation": "exif", "unreadable": "skip"}


def test_the_same_knobs_are_reached_by_set(dump):
    code, _, err = dump("--set", "decode.unreadable=skip")
    assert code == 0
    assert "are left out" in err
    code, _, err = dump("--set", "decode.backend=opencv")
    assert code == 1
    assert "decode.backend: Input should be 'pillow/1' or 'torchvision/1' (found 'opencv')" in err
