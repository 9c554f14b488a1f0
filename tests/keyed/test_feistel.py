import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.keyed.feistel import permutation, place_of, row_at


def test_orders_are_the_golden_ones():
    assert permutation(0, "epoch order", 12, 0).tolist() == [4, 8, 10, 9, 3, 5, 6, 0, 1, 7, 2, 11]
    long = permutation(2026, "epoch order", 100_003, 7)
    assert hashlib.blake2b(long.astype("<i8").tobytes(), digest_size=8).hexdigest() == "c6ba6fd95f43061b"
    far = row_at(5, "pairs", np.array([0, 1, 2**40 - 1]), 2**40, stream=9)
    assert far.tolist() == [717912011768, 307714128389, 279963239081]


@given(n=st.integers(0, 3000), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 2**32 - 1))
def test_an_order_holds_every_row_once_and_the_way_back_is_its_inverse(n, seed, epoch):
    order = permutation(seed, "test", n, epoch)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(place_of(seed, "test", order, n, epoch=epoch), np.arange(n))


@given(n=st.integers(2**20, 2**40), fractions=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_the_way_back_is_the_inverse_in_long_orders(n, fractions):
    places = np.array([int(fraction * n) for fraction in fractions])
    rows = row_at(1, "test", places, n)
    assert ((rows >= 0) & (rows < n)).all()
    np.testing.assert_array_equal(place_of(1, "test", rows, n), places)


def test_a_place_is_found_by_itself_and_blocks_join():
    order = permutation(3, "test", 20_000, 2)
    places = np.array([19_999, 8191, 8192, 0, 8192])
    np.testing.assert_array_equal(row_at(3, "test", places, 20_000, epoch=2), order[places])


def test_places_of_several_orders_are_asked_for_at_once():
    lengths, streams = np.array([5, 1, 1000, 5, 64]), np.array([0, 7, 2**33, 1, 2])
    places = np.array([4, 0, 999, 4, 63])
    together = row_at(8, "test", places, lengths, epoch=4, stream=streams)
    alone = [
        row_at(8, "test", places[at : at + 1], int(lengths[at]), epoch=4, stream=int(streams[at]))[0] for at in range(5)
    ]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(place_of(8, "test", together, lengths, epoch=4, stream=streams), places)


def test_orders_differ_by_seed_purpose_epoch_and_stream():
    orders = [
        tuple(row_at(seed, purpose, np.arange(12), 12, epoch=epoch, stream=stream))
        for seed in (0, 1, -1)
        for purpose in ("a", "b")
        for epoch in (0, 1, 2)
        for stream in (0, 1, 2)
    ]
    assert len(set(orders)) == len(orders)


# 99.99 % points of chi-squared with 16 and with 99 * 99 degrees of freedom
@pytest.mark.parametrize(("n", "streams", "limit"), [(5, 60_000, 46.2), (100, 4000, 10_330), (1000, 1000, 10_330)])
def test_every_row_is_as_likely_at_every_place(n, streams, limit):
    """Rows by places, over many keys; 1000 rows and places are counted in tens, to have enough in each cell."""
    places, keys = (part.ravel() for part in np.meshgrid(np.arange(n), np.arange(streams)))
    rows = row_at(11, "test", places, n, stream=keys)
    width = max(n // 100, 1)
    cells = -(-n // width)
    counts = np.bincount(rows // width * cells + places // width, minlength=cells**2)
    expected = len(places) / cells**2
    # each order has every row once, which makes the counts vary by n / (n - 1) more than free ones
    assert ((counts - expected) ** 2 / expected).sum() * (n - 1) / n < limit


def test_all_orders_of_five_are_equally_likely():
    streams = 60_000
    places, keys = (part.ravel() for part in np.meshgrid(np.arange(5), np.arange(streams)))
    orders = row_at(12, "test", places, 5, stream=keys).reshape(streams, 5) @ 10 ** np.arange(5)
    counts = np.unique(orders, return_counts=True)[1]
    # chi-squared with 119 degrees of freedom: 185 is its 99.99 % point
    assert len(counts) == 120
    assert ((counts - 500) ** 2 / 500).sum() < 185


@pytest.mark.parametrize("n", [100, 1000, 50_000])
def test_neighbours_are_strangers(n):
    """What stands beside a row tells nothing of it: the half it falls into, and the distance, as chance has it."""
    orders = np.stack([permutation(seed, "test", n, 0) for seed in range(2_000_000 // n // 10)])
    correlation = np.corrcoef(orders[:, :-1].ravel(), orders[:, 1:].ravel())[0, 1]
    assert abs(correlation + 1 / n) < 4 / np.sqrt(orders.size)
    low = (orders[:, : n // 2] < n // 2).sum(1)
    # hypergeometric: n / 4 of them with a variance of n / 16 * n / (n - 1)
    error = (low - n / 4) / np.sqrt(n / 16 * n / (n - 1))
    assert abs(error.mean()) < 4 / np.sqrt(len(error))
    assert abs(error.std() - 1) < 4 / np.sqrt(2 * len(error))
