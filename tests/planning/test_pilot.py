"""A pilot asks the teacher what a dump would ask it, each view once, and keeps its halves apart."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from cache_kd.errors import ConfigError, ModelError
from cache_kd.keyed.row_order import samples_at
from cache_kd.planning.pilot import run_pilot
from cache_kd.rendering import open_renderer
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.store.reader import Reader
from cache_kd.views import make_recipe


def _pilot(images, teacher, **changes):
    source = open_source(SourceSpec(data=str(images)))
    asked = []
    with open_renderer({"train": source}, make_recipe("cifar"), seed=0) as renderer:
        knobs = {"seed": 0, "views": 2, "size": 64, "batch_size": 32, "advance": asked.append}
        return run_pilot(teacher, renderer, **(knobs | changes)), sum(asked)


def test_answers_are_those_of_a_dump(pilot, stores):
    reader = Reader.open(stores["float32"])
    samples = samples_at(0, np.arange(256, dtype=np.int64), 512)
    stored = torch.from_numpy(reader.view("train", 0).rows(samples))
    asked = torch.cat([pilot.fitting.logits, pilot.measuring.logits])
    # the same batches of 32, so not even rounding differs by more than a bit
    torch.testing.assert_close(asked, stored, rtol=1e-5, atol=1e-5)
    labels = torch.cat([pilot.fitting.labels, pilot.measuring.labels]).numpy()
    np.testing.assert_array_equal(labels, reader.labels("train")[samples])


def test_a_small_data_set_is_asked_in_more_views_and_no_sample_is_in_both_halves(images, small_teacher, tmp_path):
    small = tmp_path / "small.h5"
    with h5py.File(images) as whole, h5py.File(small, "w") as file:
        file["train/images"], file["train/labels"] = whole["train/images"][:20], np.arange(20) % 10
    found, asked = _pilot(small, small_teacher, size=60, views=4)
    assert asked == 60
    assert len(found.fitting.logits) == len(found.measuring.logits) == 30
    order = samples_at(0, np.arange(20, dtype=np.int64), 20)
    assert found.fitting.labels.tolist() == (order[:10] % 10).tolist() * 3
    assert found.measuring.labels.tolist() == (order[10:] % 10).tolist() * 3
    views = found.measuring.logits.view(3, 10, 10)
    assert not torch.equal(views[0], views[1])
    assert _pilot(small, small_teacher, size=60, views=1)[1] == 20


def test_the_last_layer_is_the_one_that_made_the_logits(pilot):
    for half in (pilot.fitting, pilot.measuring):
        features, weight, bias = half.last_layer
        assert features.shape == (len(half.logits), pilot.features)
        torch.testing.assert_close(features @ weight.T + bias, half.logits, rtol=1e-5, atol=1e-5)


def test_a_teacher_that_does_not_end_in_a_linear_layer_shows_none(images, small_teacher):
    found, _ = _pilot(images, replace(small_teacher, model=_Halved(small_teacher.model)))
    assert found.features is None
    assert found.measuring.last_layer is None


def test_speed_is_of_a_view_and_a_dump_is_no_faster_than_its_teacher(pilot):
    speed = pilot.speed
    assert 0 < speed.render < 0.1
    assert 0 < speed.teacher <= speed.dump < 0.5
    assert pilot.view_bytes == 28 * 28


def test_a_teacher_that_gives_nan_is_refused_by_sample(images, small_teacher):
    with pytest.raises(ModelError, match=r"gives nan for train sample \d+, view 0"):
        _pilot(images, replace(small_teacher, model=_Broken()))


def test_one_image_has_no_two_halves(images, small_teacher, tmp_path):
    with h5py.File(images) as whole, h5py.File(tmp_path / "one.h5", "w") as file:
        file["train/images"], file["train/labels"] = whole["train/images"][:1], [0]
        file.attrs["classes"] = whole.attrs["classes"]
    with pytest.raises(ConfigError, match="the data has only one"):
        _pilot(tmp_path / "one.h5", small_teacher)


class _Halved(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images) / 2


class _Broken(torch.nn.Module):
    def forward(self, images):
        return torch.full((len(images), 10), torch.nan)
