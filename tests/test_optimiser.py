import pytest
import torch
from torch import nn

from cache_kd.config import build
from cache_kd.errors import ConfigError
from cache_kd.optimiser import Optimiser, make_optimiser


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_everything_decays_unless_told_otherwise():
    (group,) = make_optimiser(Optimiser(weight_decay=0.1), model().parameters()).param_groups
    assert group["weight_decay"] == 0.1
    assert len(group["params"]) == 6


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_can_be_kept_from_decaying(name):
    """With gradients of zero a step is the decay alone."""
    network = model()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = make_optimiser(
        Optimiser(name=name, lr=0.5, weight_decay=0.1, decay_norm_and_bias=False), network.parameters()
    )
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for key, parameter in network.named_parameters():
        shrunk = 0.95 if key in ("0.weight", "3.weight") else 1.0
        assert torch.allclose(parameter, shrunk * before[key]), key


def test_the_betas_of_adamw_are_the_asked_ones():
    (group,) = make_optimiser(Optimiser(name="adamw", betas=(0.8, 0.95)), model().parameters()).param_groups
    assert group["betas"] == (0.8, 0.95)


def test_nesterov_without_momentum_is_refused_for_sgd_alone():
    with pytest.raises(ConfigError, match=r"momentum, which is 0; set optimiser\.nesterov=false too"):
        build(Optimiser, {"nesterov": True, "momentum": 0.0})
    make_optimiser(Optimiser(name="adamw", nesterov=True, momentum=0.0), model().parameters())
