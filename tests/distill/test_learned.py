"""Parameters that a method brings outlive a change of its knobs."""

import torch

from cache_kd.distill import compose
from cache_kd.distill.learned import hand_over, modules_of
from cache_kd.methods.ctkd import ctkd
from cache_kd.methods.dkd import dkd
from cache_kd.methods.kd import kd


def test_a_pure_method_brings_nothing():
    assert modules_of(kd()) == []


def test_a_module_shared_by_two_terms_counts_once():
    assert len(modules_of(compose(dkd(), temperature=ctkd()))) == 1


def test_the_very_parameter_goes_over_and_the_new_knobs_hold():
    old, new = ctkd(strength=-0.5), ctkd(strength=-1.0)
    parameter = modules_of(old)[0].weight
    with torch.no_grad():
        parameter.fill_(0.25)
    hand_over(old, new)
    assert modules_of(new)[0].weight is parameter
    assert modules_of(new)[0].strength == -1.0
