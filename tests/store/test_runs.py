"""Sorted numbers as runs: extremes exact, mean and spread right, short where it matters."""

import torch

from cache_kd.store.runs import expand, run_count, summarise


def test_a_normal_curve_comes_back_within_a_hundredth_of_its_spread():
    ordered = torch.randn(20, 900, generator=torch.Generator().manual_seed(0)).sort(dim=1, descending=True).values
    low, high = ordered[:, -1:], ordered[:, :1]
    again = expand(summarise(ordered), low, high, 900)
    assert torch.equal(again[:, :1], high)
    assert torch.equal(again[:, -1:], low)
    torch.testing.assert_close(again.mean(1), ordered.mean(1), atol=1e-3, rtol=0)
    torch.testing.assert_close(again.std(1), ordered.std(1), atol=1e-3, rtol=0)
    assert (again - ordered).square().mean().sqrt() < 0.1
    # the run of the largest ones is short, so the sum of exponentials holds
    assert (again.logsumexp(1) - ordered.logsumexp(1)).abs().max() < 2e-3


def test_a_hundred_times_as_many_numbers_take_twice_the_runs():
    assert [run_count(count) for count in (24, 936, 93_600)] == [7, 15, 25]


def test_a_constant_row_stays_one():
    ordered = torch.full((2, 50), 3.25)
    assert torch.equal(expand(summarise(ordered), ordered[:, :1], ordered[:, :1], 50), ordered)
