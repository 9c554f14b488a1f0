"""Two roles are the same where their code is, and all that it closes over or holds."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from cache_kd.distill import same
from cache_kd.distill.temperature import Constant
from cache_kd.methods import make_method


def scaled(by):
    return lambda value: by * value


def with_default(by):
    return lambda value, by=by: by * value


def counting_down(start):
    def down(value):
        return value if value < start else down(value - 1)

    return down


@dataclass
class Unhashable:
    values: list[float]


class Scale(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by
        self.weight = nn.Parameter(torch.tensor([by]))


@pytest.mark.parametrize("make", [scaled, with_default, counting_down, Constant, lambda by: Unhashable([by]), Scale])
def test_the_same_call_makes_the_same_and_another_value_something_else(make):
    assert same(make(2.0), make(2.0))
    assert not same(make(2.0), make(3.0))


def test_a_function_in_a_function_is_looked_into():
    assert same(scaled(scaled(2.0)), scaled(scaled(2.0)))
    assert not same(scaled(scaled(2.0)), scaled(scaled(3.0)))


def test_what_cannot_be_looked_into_is_the_same_only_as_itself():
    one = object()
    assert same(scaled(one), scaled(one))
    assert not same(scaled(one), scaled(object()))


def test_a_factor_of_the_gradient_alone_is_a_difference():
    assert same(make_method("ctkd"), make_method("ctkd"))
    assert not same(make_method("ctkd"), make_method("ctkd", strength=-0.5))
    assert not same(make_method("dhkd"), make_method("dhkd", aligned=False))
