import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.keyed.row_order import rows_of, samples_at
from cache_kd.views.pairs import PairOrder

orders = st.builds(
    PairOrder,
    seed=st.integers(0, 5),
    view=st.integers(0, 2**32 - 1),
    samples=st.integers(1, 300),
    within=st.sampled_from([0, 2, 6, 64, 1000]),
)


def test_pairs_are_the_golden_ones():
    assert PairOrder(seed=0, view=1, samples=9).partner(np.arange(9)).tolist() == [4, 3, 8, 1, 5, 4, 7, 6, 2]
    assert PairOrder(seed=0, view=1, samples=9, within=4).partner(np.arange(9)).tolist() == [7, 2, 1, 6, 5, 4, 3, 0, 8]
    many = PairOrder(seed=2026, view=3, samples=100_003, within=256).partner(np.arange(100_003))
    assert hashlib.blake2b(many.astype("<i8").tobytes(), digest_size=8).hexdigest() == "e17a17bcf6adf2ee"


@given(order=orders)
def test_partners_are_each_others_except_for_one_at_the_end(order):
    rows = np.arange(order.samples)
    partner = order.partner(rows)
    one_sided = np.flatnonzero(order.partner(partner) != rows)
    assert len(one_sided) <= order.samples % 2
    selves = np.flatnonzero(partner == rows)
    last_run = order.samples % order.within if order.within else order.samples
    assert len(selves) == (last_run == 1)


@given(order=orders)
def test_places_and_samples_are_each_others_inverse_and_stay_in_their_run(order):
    places = np.arange(order.samples)
    samples = order.sample_at(places)
    np.testing.assert_array_equal(np.sort(samples), places)
    np.testing.assert_array_equal(order.place_of(samples), places)
    if order.within:
        rows = rows_of(order.seed, samples, order.samples)
        np.testing.assert_array_equal(rows // order.within, places // order.within)
        partners = rows_of(order.seed, order.partner(samples), order.samples)
        np.testing.assert_array_equal(partners // order.within, rows // order.within)


@given(order=orders)
def test_partners_stand_at_places_2k_and_2k_plus_1(order):
    rows = order.sample_at(np.arange(order.samples))
    even, odd = rows[0::2], rows[1::2]
    np.testing.assert_array_equal(order.partner(odd), even[: len(odd)])
    np.testing.assert_array_equal(order.partner(even[: len(odd)]), odd)


@pytest.mark.parametrize("within", [0, 64])
def test_a_row_is_asked_for_by_itself(within):
    order = PairOrder(seed=1, view=2, samples=1001, within=within)
    everybody = order.partner(np.arange(1001))
    some = np.array([1000, 3, 3, 64, 0])
    np.testing.assert_array_equal(order.partner(some), everybody[some])


def test_every_view_has_other_pairs():
    first, second = (PairOrder(seed=0, view=view, samples=1000).partner(np.arange(1000)) for view in (0, 1))
    # one row in 1000 meets the same partner again by chance
    assert (first == second).sum() < 10


def test_the_last_of_an_odd_number_takes_the_row_before_it():
    order = PairOrder(seed=4, view=0, samples=7)
    rows = order.sample_at(np.arange(7))
    assert order.partner(rows[6:]) == rows[5]
    assert order.partner(rows[5:6]) == rows[4]


def test_an_only_row_is_its_own_partner():
    assert PairOrder(seed=0, view=0, samples=1).partner(np.array([0])) == 0
    assert PairOrder(seed=0, view=0, samples=5, within=4).partner(samples_at(0, np.array([4]), 5)) == samples_at(
        0, np.array([4]), 5
    )
