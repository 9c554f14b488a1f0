"""The teacher's route: killed, repeated, refused."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError, ModelError, StoreMismatch
from cache_kd.store.reader import Reader
from cache_kd.views.cifar import Cifar


def shard_files(store: Path) -> dict[str, bytes]:
    """Every data file and witness of a store by its path inside; manifests and records hold times and are left out."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and ("/c/" in path.as_posix() or path.suffix == ".npy")
    }


def test_a_store_holds_the_teachers_logits_of_every_view(stores, images, teacher_weights):
    from cache_kd.models.teacher import load_teacher
    from cache_kd.sources.open import open_source
    from cache_kd.sources.source import SourceSpec
    from cache_kd.views import make_recipe

    reader = Reader.open(stores["float32"])
    source = open_source(SourceSpec(data=str(images)))
    teacher = load_teacher("resnet8x0.5", teacher_weights, classes=10, channels=1, device=torch.device("cpu"))
    samples = np.array([3, 400, 17])
    for view in (0, 1):
        pixels = make_recipe("cifar").view(source, 0, samples, view)
        expected = teacher.logits(pixels).numpy()
        np.testing.assert_allclose(reader.view("train", view).rows(samples), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(reader.labels("train"), source.labels())
    test = open_source(SourceSpec(data=str(images), split="test"))
    expected = teacher.logits(torch.from_numpy(np.asarray(test.images(samples[:1])))).numpy()
    np.testing.assert_allclose(reader.view("test", 0).rows(samples[:1]), expected, rtol=1e-4, atol=1e-5)


def test_a_second_dump_computes_nothing(dump_config, own_store):
    before = shard_files(own_store)
    result = dump(dump_config(own_store))
    assert result.computed_rows == 0
    assert shard_files(own_store) == before


def test_more_views_add_only_the_new_ones(dump_config, own_store):
    before = shard_files(own_store)
    assert dump(dump_config(own_store, views=3)).computed_rows == 512
    after = shard_files(own_store)
    assert {name: after[name] for name in before} == before
    assert Reader.open(own_store).manifest.parts["train"].views == 3


def test_views_added_later_have_the_witnesses_of_a_dump_of_all_at_once(dump_config, tmp_path):
    dump(dump_config(tmp_path / "grown", views=1))
    dump(dump_config(tmp_path / "grown", views=3))
    dump(dump_config(tmp_path / "whole", views=3))
    witnesses = [
        {file.name: file.read_bytes() for file in (tmp_path / store / "witness").iterdir()}
        for store in ("grown", "whole")
    ]
    assert witnesses[0] == witnesses[1]
    assert sorted(witnesses[0]) == ["0.npy", "1.npy", "2.npy"]


def test_pixels_of_two_kinds_never_meet_in_one_store(dump_config, own_store, monkeypatch):
    """Whoever lets a store grow, or finishes it, has to render exactly what is there; a finished one is not asked."""
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    before = shard_files(own_store)
    assert dump(dump_config(own_store)).computed_rows == 0
    for record in ("train.1.1", "witness.1"):
        (own_store / "done" / f"{record}.json").unlink()
        with pytest.raises(StoreMismatch, match=r"cannot go on here: .* witness rows differ .* pass another --store"):
            dump(dump_config(own_store))
    monkeypatch.undo()
    dump(dump_config(own_store))
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    with pytest.raises(StoreMismatch, match="Rows of two kinds of pixels must not meet"):
        dump(dump_config(own_store, views=3))
    assert shard_files(own_store) == before
    assert Reader.open(own_store).manifest.parts["train"].views == 2


@pytest.mark.slow
def test_a_dump_killed_again_and_again_ends_with_the_same_bytes(dump_config, tmp_path):
    """kill -9 at random moments of the real command, at whatever it is doing then."""
    whole, torn, views = tmp_path / "whole", tmp_path / "torn", 6
    dump(dump_config(whole, views=views))
    moments = random.Random(15)
    for _ in range(15):
        child = subprocess.Popen(
            _command(dump_config(torn, views=views)), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not torn.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.6))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    subprocess.run(_command(dump_config(torn, views=views)), check=True, capture_output=True)
    assert shard_files(torn) == shard_files(whole)
    Reader.open(torn)


def _command(config) -> list[str]:
    start = "import torch; torch.set_num_threads(1); from cache_kd.cli.main import main; main()"
    return [
        sys.executable, "-c", start, "dump", "--data", config.data, "--teacher", config.teacher,
        "--checkpoint", str(config.checkpoint), "--store", str(config.store), "--views", str(config.views),
        "--batch-size", str(config.batch_size), "--device", "cpu",
    ]  # fmt: skip


def test_ctrl_c_keeps_what_is_finished(dump_config, tmp_path):
    store = tmp_path / "store"
    # a shell that runs the tests in the background has its children ignore the signal
    heeding = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    child = subprocess.Popen(_command(dump_config(store, views=20)), stderr=subprocess.PIPE, text=True, **heeding)
    while not list(store.glob("done/train.*.*.json")):
        time.sleep(0.005)
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    _, words = child.communicate(timeout=30)
    assert child.returncode == 1
    assert "Finished shards are kept; run the same command again" in words
    assert "Traceback" not in words
    assert dump(dump_config(store, views=20)).computed_rows < 20 * 512 + 128


@pytest.mark.parametrize(
    ("changes", "field"), [({"seed": 1}, "seed"), ({"recipe": "none"}, "recipe"), ({"codec": "float32"}, "codec")]
)
def test_another_dump_at_the_same_path_is_refused_with_both_sides(dump_config, own_store, changes, field):
    before = shard_files(own_store)
    with pytest.raises(StoreMismatch, match=field):
        dump(dump_config(own_store, **changes))
    assert shard_files(own_store) == before


def test_another_teacher_at_the_same_path_is_refused(dump_config, own_store, teacher_weights, tmp_path):
    other = changed_weights(teacher_weights, tmp_path, lambda bias: bias + 1)
    with pytest.raises(StoreMismatch, match="teacher"):
        dump(dump_config(own_store, checkpoint=other))


def test_another_source_of_the_same_shape_is_refused(dump_config, own_store, images, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(images) as old, h5py.File(other, "w") as new:
        for split in ("train", "test"):
            new[f"{split}/images"] = old[f"{split}/images"][:][::-1]
            new[f"{split}/labels"] = old[f"{split}/labels"][:][::-1]
        new.attrs["classes"] = old.attrs["classes"]
    with pytest.raises(StoreMismatch, match="fingerprint"):
        dump(dump_config(own_store, data=str(other)))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_teacher_that_gives_no_numbers_is_refused(dump_config, teacher_weights, tmp_path, poison):
    broken = changed_weights(teacher_weights, tmp_path, lambda bias: bias * 0 + poison)
    with pytest.raises(ModelError, match=r"The teacher gives (nan|inf) for train sample \d+, view 0"):
        dump(dump_config(tmp_path / "store", checkpoint=broken))


def test_fewer_classes_than_the_teacher_has_are_refused(dump_config, images, tmp_path):
    few = tmp_path / "few.h5"
    with h5py.File(images) as old, h5py.File(few, "w") as new:
        keep = old["train/labels"][:] < 7
        new["train/images"], new["train/labels"] = old["train/images"][:][keep], old["train/labels"][:][keep]
    with pytest.raises(ModelError, match="a teacher of 10 classes, the data has 7"):
        dump(dump_config(tmp_path / "store", data=str(few)))


def test_views_must_be_positive(dump_config, tmp_path):
    from cache_kd.config import load
    from cache_kd.dump import DumpConfig

    with pytest.raises(ConfigError, match=r"views: .*greater than or equal to 1"):
        load(DumpConfig, None, dump_config(tmp_path).model_dump() | {"views": 0})


def test_a_tree_of_jpegs_goes_through_both_routes(teacher_weights, tmp_path):
    """Pictures of several sizes, grey and colour; random resized crops of 32 pixels."""
    from PIL import Image

    from cache_kd.train import Data, TrainConfig, train
    from cache_kd.verify import verify

    numbers = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for name in ("cat", "dog"):
            (tmp_path / "tree" / split / name).mkdir(parents=True)
            for number in range(count):
                height, width = numbers.integers(20, 60, 2)
                picture = Image.fromarray(numbers.integers(0, 256, (height, width, 3), dtype=np.uint8))
                picture = picture.convert("L") if number % 5 == 0 else picture
                picture.save(tmp_path / "tree" / split / name / f"{number}.jpg")
    recipe = {"name": "rrc", "size": 32}
    data = Data(data=str(tmp_path / "tree"), recipe=recipe)
    train(TrainConfig(student="resnet8", out=tmp_path / "teacher", data=data, epochs=1, device="cpu"))
    weights = tmp_path / "teacher" / "weights.safetensors"
    dump(DumpConfig(data=str(tmp_path / "tree"), teacher="resnet8", checkpoint=weights, recipe=recipe,
                    store=tmp_path / "store", views=2, device="cpu"))  # fmt: skip
    assert verify(tmp_path / "store", rows=20, device="cpu", deep=True).holds
    student = TrainConfig(student="resnet8x0.5", out=tmp_path / "student", store=tmp_path / "store", method="rld",
                          epochs=2, check="all", device="cpu")  # fmt: skip
    assert 0 <= train(student)["agreement"] <= 1


def test_a_store_made_with_relative_paths_opens_from_anywhere(dump_config, images, tmp_path, monkeypatch):
    from cache_kd.opened import open_store

    monkeypatch.chdir(images.parent)
    dump(dump_config(tmp_path / "store", data=images.name))
    monkeypatch.chdir(tmp_path)
    assert len(open_store(tmp_path / "store").source) == 512


def changed_weights(weights: Path, folder: Path, change) -> Path:
    """A copy of the teacher's weights with another bias of the classifier."""
    tensors = load_file(weights)
    tensors["fc.bias"] = change(tensors["fc.bias"])
    with safe_open(weights, framework="pt") as file:
        save_file(tensors, folder / "changed.safetensors", metadata=file.metadata())
    return folder / "changed.safetensors"
