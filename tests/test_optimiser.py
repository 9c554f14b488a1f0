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


def test_the_numbers_of_a_method_decay_only_where_all_does():
    """A temperature is no matrix, though it is [1, 1]."""
    network, tau = model(), nn.Parameter(torch.ones(1, 1))
    every = [*network.parameters(), tau]
    for everywhere, decay in ((True, 0.1), (False, 0.0)):
        optimiser = make_optimiser(Optimiser(weight_decay=0.1, decay_norm_and_bias=everywhere), every, numbers=[tau])
        (own,) = [group for group in optimiser.param_groups if any(each is tau for each in group["params"])]
        assert own["weight_decay"] == decay


def test_a_saved_state_finds_each_parameter_whatever_decays():
    """It counts over all groups: matrices first, a method's among them, then the rest."""
    network, tau, head = model(), nn.Parameter(torch.ones(1, 1)), nn.Linear(2, 2)
    every = [*network.parameters(), tau, *head.parameters()]
    optimiser = make_optimiser(Optimiser(decay_norm_and_bias=False), every, numbers=[tau])
    counted = [each for group in optimiser.param_groups for each in group["params"]]
    matrices = [network[0].weight, network[3].weight, tau, head.weight]
    rest = [network[0].bias, network[1].weight, network[1].bias, network[3].bias, head.bias]
    assert all(one is other for one, other in zip(counted, matrices + rest, strict=True))


def test_the_betas_of_adamw_are_the_asked_ones():
    (group,) = make_optimiser(Optimiser(name="adamw", lr=0.001, betas=(0.8, 0.95)), model().parameters()).param_groups
    assert group["betas"] == (0.8, 0.95)


def test_nesterov_without_momentum_is_refused_for_sgd_alone():
    with pytest.raises(ConfigError, match=r"momentum, which is 0; set optimiser\.nesterov=false too"):
        build(Optimiser, {"nesterov": True, "momentum": 0.0})
    make_optimiser(Optimiser(name="adamw", lr=0.001, nesterov=True, momentum=0.0), model().parameters())


def test_adamw_does_not_take_the_learning_rate_of_sgd():
    with pytest.raises(
        ConfigError, match=r"adamw needs .* 0\.1 is that of sgd; set optimiser\.lr too, usually to 0\.001"
    ):
        build(Optimiser, {"name": "adamw"})
    asked = build(Optimiser, {"name": "adamw", "lr": 0.1})
    assert build(Optimiser, asked.model_dump()) == asked


def test_betas_are_refused_for_sgd_which_has_none():
    with pytest.raises(ConfigError, match=r"betas are of adamw, and optimiser\.name is 'sgd'; leave them out"):
        build(Optimiser, {"betas": [0.5, 0.9]})
    assert build(Optimiser, Optimiser().model_dump(mode="json")) == Optimiser()
