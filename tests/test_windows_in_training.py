"""Logits that are read in windows, and whole views, as a training sees them."""

import pytest
import torch
from safetensors.torch import load_file

from cache_kd.errors import ConfigError
from cache_kd.order import OrderConfig
from cache_kd.progress import Silent
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer
from cache_kd.train import LiveTeacher, Optimiser, TrainConfig, resumed_config, train

STUDENT = "resnet8x0.5"
GENTLE = Optimiser(lr=0.001)  # at usual rates the last bit of a logit grows


def config(out, store, **changes):
    knobs = {"student": STUDENT, "out": out, "store": store, "batch_size": 64, "epochs": 1, "device": "cpu"}
    return TrainConfig(**(knobs | changes))


def distance(first, second):
    """The largest difference of any weight."""
    one, two = (load_file(out / "weights.safetensors") for out in (first, second))
    return max((one[name] - two[name]).abs().max().item() for name in one if one[name].is_floating_point())


class Listener(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_a_window_that_follows_from_the_memory_is_said_and_kept_for_the_resumed_run(stores, tmp_path, monkeypatch):
    listener = Listener()
    # 8,000 bytes hold three windows of four chunks of 32 rows of 20 bytes; the view takes 10,240
    small = config(tmp_path / "small", stores["float16"], method="kd", order=OrderConfig(memory_gb=8e-6))
    with pytest.raises(ConfigError, match=r"order\.memory_gb is 8e-06; .* to at least 1\.1e-05,"):
        train(small)
    assert not (tmp_path / "small").exists()
    monkeypatch.setattr("cache_kd.order.LEAST_WINDOW", 2)
    assert train(small, progress=listener)["window"] == 4
    assert "read in windows of 4 chunks of 32 rows, up to 7.7e-06 GB of each view" in "\n".join(listener.said)
    assert resumed_config(tmp_path / "small").order.window == 4
    assert resumed_config(tmp_path / "small").views == 2  # which a store that grows meanwhile does not change
    train(config(tmp_path / "asked", stores["float16"], method="kd", order=OrderConfig(window=4)))
    assert distance(tmp_path / "small", tmp_path / "asked") == 0


def test_views_that_fit_the_memory_are_held_whole(stores, tmp_path):
    listener = Listener()
    assert train(config(tmp_path / "run", stores["float16"], method="kd"), progress=listener)["window"] == 0
    assert "whole views" in "\n".join(listener.said)


def test_a_live_teacher_sees_the_same_batches_in_windows_as_stores_give(stores, second_store, tmp_path):
    both = (stores["float32"], second_store)
    student = config(tmp_path / "cached", both, method="kd", order=OrderConfig(window=2), optimiser=GENTLE)
    train(student)
    train(student.model_copy(update={"out": tmp_path / "live", "live_teacher": LiveTeacher()}))
    train(student.model_copy(update={"out": tmp_path / "other", "order": OrderConfig()}))
    other_order = distance(tmp_path / "other", tmp_path / "cached")
    assert distance(tmp_path / "live", tmp_path / "cached") < other_order / 100


def in_the_order_of_samples(source, path):
    """The store at `source` as an earlier release would have laid it out."""
    reader = Reader.open(source)
    parts = {name: part.model_copy(update={"row_order": "by_sample"}) for name, part in reader.manifest.parts.items()}
    manifest = reader.manifest.model_copy(update={"parts": parts})
    with Writer.create_or_resume(path, manifest) as writer:
        for view in writer.pending_witnesses():
            writer.write_witnesses(view, reader.witnesses(view))
        for part in parts:
            writer.write_labels(part, reader.labels(part))
        for shard in writer.pending():
            samples = manifest.samples_of(shard)
            logits = torch.from_numpy(reader.view(shard.part, shard.view).rows(samples))
            writer.write(shard, logits, reader.digests(shard.part, shard.view)[samples])
    return path


def test_stores_whose_rows_have_other_orders_go_together_but_not_in_windows(stores, second_store, tmp_path):
    older = in_the_order_of_samples(second_store, tmp_path / "older")
    both = config(tmp_path / "run", (stores["float32"], older), method="kd", optimiser=GENTLE)
    with pytest.raises(ConfigError, match=r"another order .*Set order\.window to 0"):
        train(both.model_copy(update={"order": OrderConfig(window=2)}))
    assert not (tmp_path / "run").exists()
    train(both)
    train(both.model_copy(update={"out": tmp_path / "keyed", "store": (stores["float32"], second_store)}))
    train(both.model_copy(update={"out": tmp_path / "other", "seed": 1}))
    other_seed = distance(tmp_path / "other", tmp_path / "keyed")
    assert distance(tmp_path / "run", tmp_path / "keyed") < other_seed / 100
