"""The examples run from a shell, and every loop trains the student that kdcache train trains."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cache_kd.schedule import Schedule
from cache_kd.train import Optimiser, TrainConfig, train

EXAMPLES = Path(__file__).parents[1] / "examples"
EPOCHS = 2  # the store has as many views
# Equal to the bit where this was written; where the layout of memory makes another rounding, 8 steps multiply it.
# The views of another epoch are 3e-3 away, another seed is 1.
ROUNDING = 1e-3
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory) -> dict[str, torch.Tensor]:
    """What kdcache train makes of the examples' numbers: 8 steps of 128 samples."""
    out = tmp_path_factory.mktemp("runs") / "kd"
    train(
        TrainConfig(
            student="resnet8",
            out=out,
            store=stores["float16"],
            method="kd",
            epochs=EPOCHS,
            optimiser=Optimiser(lr=0.05, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="constant"),
            device="cpu",
        )
    )
    return load_file(out / "weights.safetensors")


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """|a - b| / |a| over all floating numbers as one vector."""
    assert first.keys() == second.keys()
    names = [name for name, tensor in first.items() if tensor.is_floating_point()]
    a, b = (torch.cat([tensors[name].flatten().double() for name in names]) for tensors in (first, second))
    return float((a - b).norm() / a.norm())


def test_the_plain_loop_trains_the_student_of_kdcache_train(stores, trained, tmp_path, monkeypatch, capsys):
    arguments = [str(stores["float16"]), "--epochs", str(EPOCHS), "--out", str(tmp_path / "student.pt")]
    monkeypatch.setattr(sys, "argv", ["plain_pytorch.py", *arguments])
    runpy.run_path(str(EXAMPLES / "plain_pytorch.py"), run_name="__main__")
    assert "epoch 2/2  loss " in capsys.readouterr().out
    assert distance(trained, torch.load(tmp_path / "student.pt", weights_only=True)) < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "extra"), [("lightning_module", "lightning"), ("hugging_face_trainer", "transformers")]
)
def test_other_loops_train_the_same_student(stores, trained, tmp_path, name, extra):
    pytest.importorskip(extra)
    command = [sys.executable, EXAMPLES / f"{name}.py", stores["float16"], "--epochs", EPOCHS, "--out", "student.pt"]
    subprocess.run([str(word) for word in command], cwd=tmp_path, check=True, timeout=300)
    assert distance(trained, torch.load(tmp_path / "student.pt", weights_only=True)) < ROUNDING


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["dhkd", "ctkd"])
def test_an_example_refuses_a_method_whose_own_weights_it_would_not_train(stores, tmp_path, monkeypatch, name, method):
    for extra in {"lightning_module": ["lightning"], "hugging_face_trainer": ["transformers"]}.get(name, []):
        pytest.importorskip(extra)
    out = tmp_path / "student.pt"
    monkeypatch.setattr(sys, "argv", [name, str(stores["float16"]), "--method", method, "--out", str(out)])
    with pytest.raises(SystemExit, match=f"{method} brings weights of its own; only kdcache train --method {method}"):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert not out.exists()


def test_every_example_says_how_it_is_run_and_what_it_needs():
    assert len(NAMES) == 3
    for name in NAMES:
        words = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").partition('"""\n\n')[0]
        assert f"python examples/{name}.py kdcache-demo/store" in words
        assert ("pip install 'cache_kd[" in words) == (name != "plain_pytorch")
