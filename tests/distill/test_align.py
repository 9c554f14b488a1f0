"""The second gradient gives way where it points against the first."""

import torch
from torch import nn

from cache_kd.distill.align import backward_aligned


def gradients(first, second):
    """Of two losses that are linear in one shared parameter and each in one of its own."""
    shared, own, other = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    losses = (torch.tensor(first) @ shared + own.sum(), torch.tensor(second) @ shared + 2 * other.sum())
    backward_aligned(*losses, [shared, own, other])
    return shared.grad.tolist(), own.grad.tolist(), other.grad.tolist()


def test_gradients_that_agree_are_added():
    shared, own, other = gradients([1.0, 0.0], [2.0, 5.0])
    assert (shared, own, other) == ([3.0, 5.0], [1.0, 1.0], [2.0, 2.0])


def test_what_points_against_the_first_is_taken_out():
    # over all parameters g = (1, 0 | 1, 1) and h = (-3, 5): g.h = -3, |g|^2 = 3, so h + g is added to g
    shared, own, other = gradients([1.0, 0.0], [-3.0, 5.0])
    assert shared == [-1.0, 5.0]
    assert own == [2.0, 2.0]
    assert other == [2.0, 2.0]


def test_a_first_without_gradient_takes_nothing_out():
    weight = nn.Parameter(torch.ones(2))
    backward_aligned((0 * weight).sum(), (3 * weight).sum(), [weight])
    assert weight.grad.tolist() == [3.0, 3.0]
