"""Logits from the largest probabilities give them back at their temperature, and are finite whatever was rounded."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.exchange.soft_labels import spread_logits

EXACT, HALF = 2.0**-23, 2.0**-10


def test_one_row_computed_by_hand():
    logits = spread_logits(
        torch.tensor([[3, 1]]), torch.tensor([[0.6, 0.2]]), classes=4, temperature=2.0, rounding=EXACT
    )
    expected = [2 * math.log(share) for share in (0.1, 0.2, 0.1, 0.6)]
    assert logits[0].tolist() == pytest.approx(expected, rel=1e-6)


@given(seed=st.integers(0, 99), top=st.integers(1, 10), tau=st.floats(0.5, 8), spread=st.floats(0.1, 8))
def test_the_softmax_at_the_temperature_is_what_was_kept_and_an_even_rest(seed, top, tau, spread):
    teacher = spread * torch.randn(5, 12, generator=torch.Generator().manual_seed(seed))
    softmax = (teacher / tau).softmax(1)
    kept = softmax.topk(top, dim=1)
    logits = spread_logits(kept.indices, kept.values, classes=12, temperature=tau, rounding=EXACT)
    again = (logits / tau).softmax(1)
    assert torch.allclose(again.gather(1, kept.indices), kept.values, atol=1e-6)
    rest = again.scatter(1, kept.indices, -1.0)
    others = rest[rest >= 0].reshape(5, 12 - top)
    assert torch.allclose(others.sum(1), 1 - kept.values.sum(1), atol=1e-6)
    assert (others.amax(1) - others.amin(1) <= 1e-6).all()


@given(seed=st.integers(0, 99), classes=st.integers(5, 40), spread=st.floats(0, 60))
def test_rounded_numbers_never_become_infinite_nor_change_the_order(seed, classes, spread):
    teacher = spread * torch.randn(6, classes, generator=torch.Generator().manual_seed(seed))
    kept = teacher.softmax(1).topk(5, dim=1)
    logits = spread_logits(kept.indices, kept.values.half().float(), classes=classes, temperature=1.0, rounding=HALF)
    assert logits.isfinite().all()
    assert (logits.gather(1, kept.indices).diff(dim=1) <= 0).all()
    assert (logits.gather(1, kept.indices[:, -1:]) <= logits.gather(1, kept.indices)).all()
    outside = logits.scatter(1, kept.indices, -math.inf)
    assert (outside.amax(1) <= logits.gather(1, kept.indices).amin(1)).all()


def test_a_teacher_that_is_sure_leaves_something_for_the_others():
    for rounding in (EXACT, HALF):
        for kept in ([[1.0, 0.0]], [[1.0005, 0.0]]):
            logits = spread_logits(
                torch.tensor([[2, 0]]), torch.tensor(kept), classes=5, temperature=1.0, rounding=rounding
            )
            assert logits.isfinite().all()
            assert logits.softmax(1)[0, 2] > 0.999
