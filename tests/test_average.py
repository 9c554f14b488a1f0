import pytest
import torch
from torch import nn

from cache_kd.average import WeightAverage


def test_the_average_is_the_one_computed_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average = WeightAverage(model, decay=0.5)
    expected = 1.0
    for step in range(1, 30):
        nn.init.constant_(model.weight, float(step))
        average.update(step)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * step
    assert average.tensors["weight"].item() == pytest.approx(expected)


def test_running_statistics_are_averaged_and_counters_taken_over():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, decay=0.9)
    for step in range(1, 4):
        model(torch.randn(8, 2, generator=torch.Generator().manual_seed(step)) + 5)
        average.update(step)
    assert average.tensors["num_batches_tracked"] == 3
    assert (average.tensors["running_mean"] > 0).all()
    assert (average.tensors["running_mean"] < model.running_mean).all()


def test_a_model_shows_its_average_only_for_a_while():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, decay=0.9)
    first = model.weight.detach().clone()
    nn.init.zeros_(model.weight)
    with average.shown():
        assert torch.equal(model.weight, first)
    assert (model.weight == 0).all()
    assert model.weight.requires_grad
