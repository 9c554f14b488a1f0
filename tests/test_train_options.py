"""What a run can be told beside its method: optimisation, memory, metrics."""

import shutil
import sys

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cache_kd.errors import ConfigError, ModelError
from cache_kd.models.checkpoint import read_about
from cache_kd.optimiser import Optimiser
from cache_kd.rundir import RunFolder
from cache_kd.schedule import Schedule
from cache_kd.train import Data, TrainConfig, train

FLAT = Schedule(name="constant")


def without_batch_norm(classes: int, channels: int = 1) -> torch.nn.Module:
    """A student whose rows do not know of each other."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 5, stride=3),
        torch.nn.GroupNorm(2, 8),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(512, classes),
    )


def config(out, store, **changes) -> TrainConfig:
    knobs = {
        "student": "resnet8x0.5", "out": out, "store": store, "method": "kd", "batch_size": 64, "epochs": 1,
        "device": "cpu", "optimiser": Optimiser(lr=0.01), "schedule": FLAT,
    }  # fmt: skip
    return TrainConfig(**(knobs | changes))


def weights(out, name="weights"):
    return load_file(out / f"{name}.safetensors")


def close(first, second, tolerance):
    return all(
        (a - b).abs().max() <= tolerance * a.abs().max() for a, b in zip(first.values(), second.values(), strict=True)
    )


@pytest.mark.parametrize("method", ["kd", "rld"])
@pytest.mark.parametrize("views", [1, 2])
def test_a_batch_in_parts_is_the_whole_batch_for_methods_that_take_samples_one_by_one(stores, tmp_path, method, views):
    """64 samples in three parts of 21, 21 and 22: 8 steps; the order of summation is all that differs."""
    changes = {"student": f"{__name__}:without_batch_norm", "method": method, "views_per_batch": views}
    train(config(tmp_path / "whole", stores["float32"], **changes))
    train(config(tmp_path / "parts", stores["float32"], accumulate=3, **changes))
    assert close(weights(tmp_path / "whole"), weights(tmp_path / "parts"), 2e-5)
    whole, parts = (RunFolder.open(tmp_path / run).metrics()[0] for run in ("whole", "parts"))
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert np.ravel(parts["tau"]) == pytest.approx(np.ravel(whole["tau"]))


@pytest.mark.parametrize("method", ["dist", "dtd", "dhkd", "mlld"])
def test_a_method_that_looks_at_the_batch_is_not_shown_it_in_parts(stores, tmp_path, method):
    with pytest.raises(ConfigError, match=f"{method} looks at a batch as a whole; accumulate=2"):
        train(config(tmp_path / "run", stores["float32"], method=method, accumulate=2))
    assert not (tmp_path / "run").exists()


def test_a_method_that_will_look_at_the_batch_is_not_shown_it_in_parts_either(stores, tmp_path):
    """Without a bias dtd is kd."""
    rising = {"method": "dtd", "knobs": {"bias": {"points": [[1, 0.0], [2, 1.0]]}}, "accumulate": 2}
    with pytest.raises(ConfigError, match="dtd looks at a batch as a whole; accumulate=2"):
        train(config(tmp_path / "run", stores["float32"], epochs=2, **rising))
    assert not (tmp_path / "run").exists()


def test_a_long_gradient_is_shortened(stores, tmp_path):
    """One step of plain SGD: the weights move by lr times the length that is left."""
    optimiser = Optimiser(lr=1.0, momentum=0.0, weight_decay=0.0, clip_norm=0.125)
    changes = {"student": f"{__name__}:without_batch_norm", "batch_size": 512, "optimiser": optimiser}
    train(config(tmp_path / "clipped", stores["float32"], **changes))
    torch.manual_seed(0)
    start = without_batch_norm(10).state_dict()
    moved = torch.cat([(start[name] - end).flatten() for name, end in weights(tmp_path / "clipped").items()])
    assert moved.norm().item() == pytest.approx(0.125, rel=1e-4)


def test_an_average_of_the_weights_is_evaluated_and_saved_beside_them(stores, tmp_path):
    summary = train(config(tmp_path / "run", stores["float32"], ema_decay=0.9, epochs=2))
    train(config(tmp_path / "without", stores["float32"], epochs=2))
    run = tmp_path / "run"
    assert close(weights(tmp_path / "without"), weights(run), 0)
    assert weights(run).keys() == weights(run, "weights-ema").keys()
    assert not close(weights(run), weights(run, "weights-ema"), 1e-3)
    assert read_about(run / "weights-ema.safetensors")["ema_decay"] == 0.9
    last = RunFolder.open(run).metrics()[-1]
    assert last["ema"]["accuracy"] == summary["ema_accuracy"]
    assert last["ema"]["cross_entropy"] != last["cross_entropy"]


def test_the_layout_of_images_in_memory_changes_no_more_than_rounding(stores, tmp_path):
    one_step = {"batch_size": 512, "student": f"{__name__}:without_batch_norm"}
    train(config(tmp_path / "last", stores["float32"], **one_step))
    train(config(tmp_path / "first", stores["float32"], channels_last=False, **one_step))
    assert close(weights(tmp_path / "last"), weights(tmp_path / "first"), 1e-5)


class Flattening(torch.nn.Linear):
    """Wants the map before it in the usual layout."""

    def forward(self, images):
        return super().forward(images.view(images.size(0), -1))


def flattening(classes: int, channels: int = 1) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(channels, 4, 5, stride=3), Flattening(256, classes))


def test_the_layout_of_images_is_that_of_training_in_the_evaluation_too(tmp_path):
    """In colour: of one channel the two layouts are the same bytes."""
    with h5py.File(tmp_path / "colour.h5", "w") as file:
        for split in ("train", "test"):
            file[f"{split}/images"] = np.random.default_rng(0).integers(256, size=(8, 28, 28, 3), dtype=np.uint8)
            file[f"{split}/labels"] = np.arange(8) % 2
        file.attrs["classes"] = ["one", "other"]
    data = Data(data=str(tmp_path / "colour.h5"), recipe="none", normalise={"mean": [0.5] * 3, "std": [0.5] * 3})
    changes = {"method": None, "data": data, "student": f"{__name__}:flattening"}
    train(config(tmp_path / "first", (), channels_last=False, **changes))
    with pytest.raises(ModelError, match="view size is not compatible"):
        train(config(tmp_path / "last", (), **changes))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_narrow_precision_learns_what_float32_learns(stores, tmp_path, precision):
    """The losses of 8 gentle steps are within 2 % of each other."""
    train(config(tmp_path / "narrow", stores["float32"], precision=precision))
    train(config(tmp_path / "wide", stores["float32"]))
    narrow, wide = (
        [line["loss"] for line in RunFolder.open(tmp_path / run).metrics() if "loss" in line]
        for run in ("narrow", "wide")
    )
    assert narrow == pytest.approx(wide, rel=0.02)
    assert narrow != wide


def test_aligned_gradients_are_refused_in_fp16(stores, tmp_path):
    with pytest.raises(ConfigError, match=r"dhkd aligns two gradients, .*bf16 or float32"):
        train(config(tmp_path / "run", stores["float32"], method="dhkd", precision="fp16"))


def test_aligned_gradients_are_refused_of_a_compiled_student(stores, tmp_path):
    with pytest.raises(ConfigError, match=r"dhkd aligns two gradients, .*Leave compile out, .* knobs\.aligned=false"):
        train(config(tmp_path / "run", stores["float32"], method="dhkd", compile=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
@pytest.mark.filterwarnings("default")
def test_a_compiled_student_is_the_same_student(stores, tmp_path):
    changes = {"batch_size": 512, "student": f"{__name__}:without_batch_norm"}
    train(config(tmp_path / "eager", stores["float32"], **changes))
    train(config(tmp_path / "compiled", stores["float32"], compile=True, **changes))
    assert weights(tmp_path / "eager").keys() == weights(tmp_path / "compiled").keys()
    assert close(weights(tmp_path / "eager"), weights(tmp_path / "compiled"), 1e-4)


@pytest.mark.filterwarnings("default")  # TensorBoard's own, about its dependencies
def test_metrics_are_written_for_tensorboard_too(stores, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(config(tmp_path / "run", stores["float32"], tensorboard=True, epochs=2))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    lines = RunFolder.open(tmp_path / "run").metrics()
    accuracies = [(line["epoch"] * 8, line["accuracy"]) for line in lines if "accuracy" in line]
    assert [(event.step, event.value) for event in events.Scalars("accuracy")] == [
        (step, pytest.approx(accuracy)) for step, accuracy in accuracies
    ]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses)


def test_without_tensorboard_the_mend_is_said_before_there_is_a_run(stores, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'cache_kd\[tensorboard\]'"):
        train(config(tmp_path / "run", stores["float32"], tensorboard=True))
    assert not (tmp_path / "run").exists()
