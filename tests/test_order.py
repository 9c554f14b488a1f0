import hashlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_kd.config import build
from cache_kd.errors import ConfigError
from cache_kd.order import EpochOrder, OrderConfig
from cache_kd.store.row_order import RowOrder
from cache_kd.views.pairs import PairOrder

CHUNK = 16
PLAIN = {"samples": 203, "batch_size": 24, "seed": 7, "epoch": 3}
KINDS = {
    "all together": {},
    "windows": {"chunk_rows": CHUNK, "window": 3},
    "pairs": {"pairs": PairOrder(seed=1, view=0, samples=203)},
    "pairs in windows": {
        "chunk_rows": CHUNK,
        "window": 3,
        "pairs": PairOrder(seed=1, view=0, samples=203, within=8),
    },
}
GOLDEN = {
    "all together": "dd8a0c75bd597d2f",
    "windows": "50bcdcb6fd1b50c3",
    "pairs": "5159ce4a1ac66d21",
    "pairs in windows": "ed512b6f1e719f90",
}


@pytest.fixture(params=KINDS)
def fields(request):
    return PLAIN | KINDS[request.param]


def _whole(order):
    return np.concatenate(list(order.batches()))


@st.composite
def _orders(draw):
    samples, within = draw(st.integers(1, 150)), draw(st.sampled_from([2, 4, 8]))
    window, paired = draw(st.integers(0, 5)), draw(st.booleans())
    pairs = PairOrder(seed=0, view=1, samples=samples, within=within) if paired else None
    chunk_rows = within * draw(st.integers(1, 4))
    return EpochOrder(
        samples=samples, batch_size=draw(st.integers(1, 40)),
        seed=draw(st.integers(0, 9)), epoch=draw(st.integers(0, 9)),
        chunk_rows=chunk_rows, window=window, pairs=pairs,
    )  # fmt: skip


@settings(max_examples=40)
@given(order=_orders())
def test_an_epoch_has_every_sample_once(order):
    np.testing.assert_array_equal(np.sort(_whole(order)), np.arange(order.samples))
    assert [len(batch) for batch in order.batches()][:-1] == [order.batch_size] * (len(order) - 1)


@pytest.mark.parametrize(("kind", "golden"), GOLDEN.items())
def test_orders_are_the_golden_ones(kind, golden):
    digest = hashlib.blake2b(_whole(EpochOrder(**PLAIN, **KINDS[kind])).astype("<i8").tobytes(), digest_size=8)
    assert digest.hexdigest() == golden


def test_an_epoch_goes_on_in_the_middle(fields):
    order = EpochOrder(**fields)
    before = list(order.batches())
    for step in range(len(order) + 1):
        after = list(EpochOrder(**fields).batches(step))
        assert len(after) == len(before) - step
        for resumed, uninterrupted in zip(after, before[step:], strict=True):
            np.testing.assert_array_equal(resumed, uninterrupted)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_any_number_of_ranks_shares_the_same_batches(fields, world):
    alone = EpochOrder(**fields)
    ranks = [EpochOrder(**fields, rank=rank, world=world) for rank in range(world)]
    for step in range(len(alone)):
        parts = [rank.batch(step) for rank in ranks]
        np.testing.assert_array_equal(np.concatenate(parts), alone.batch(step))
        assert max(map(len, parts)) - min(map(len, parts)) <= (step == len(alone) - 1)


def test_a_last_batch_shorter_than_the_world_leaves_some_ranks_without():
    ranks = [EpochOrder(samples=9, batch_size=8, seed=0, epoch=0, rank=rank, world=4) for rank in range(4)]
    assert [len(rank) for rank in ranks] == [2] * 4
    assert sorted(len(rank.batch(1)) for rank in ranks) == [0, 0, 0, 1]


def test_epochs_and_seeds_give_other_orders(fields):
    orders = {
        tuple(_whole(EpochOrder(**fields | {"seed": seed, "epoch": epoch}))) for seed in (0, 1) for epoch in (0, 1, 2)
    }
    assert len(orders) == 6


@settings(max_examples=40)
@given(order=_orders().filter(lambda order: order.window and not (order.pairs and order.samples % 2)))
def test_a_window_has_all_rows_of_its_chunks_and_of_no_other(order):
    chunk = _whole(order) // order.chunk_rows
    chunks = -(-order.samples // order.chunk_rows)
    seen, at = set(), 0
    while at < len(chunk):
        # a window ends where as many rows were read as its chunks hold
        length = next(
            length
            for length in range(1, len(chunk) - at + 1)
            if len(opened := set(chunk[at : at + length])) in (order.window, chunks - len(seen))
            and length == sum(min(order.chunk_rows, order.samples - each * order.chunk_rows) for each in opened)
        )
        opened = set(chunk[at : at + length])
        assert not opened & seen
        seen |= opened
        at += length
    assert len(seen) == chunks


def test_a_window_is_shuffled_and_so_are_the_chunks():
    order = _whole(EpochOrder(samples=4096, batch_size=256, seed=0, epoch=0, chunk_rows=64, window=8))
    windows = order.reshape(8, 512)
    for window in windows:
        assert len(set(window // 64)) == 8
        # rows of one chunk are spread over the window: their mean place is its middle
        for each in set(window // 64):
            assert abs(np.flatnonzero(window // 64 == each).mean() - 256) < 5 * 512 / np.sqrt(12 * 64)
        assert abs(np.corrcoef(window[:-1], window[1:])[0, 1]) < 4 / np.sqrt(512)
    chunks = [tuple(sorted(set(window // 64))) for window in windows]
    assert all(np.ptp(each) > 8 for each in chunks)


@pytest.mark.parametrize("windows", [{}, {"chunk_rows": CHUNK, "window": 3}])
@pytest.mark.parametrize("samples", [200, 203])
def test_partners_share_a_batch_and_a_rank(windows, samples):
    pairs = PairOrder(seed=5, view=2, samples=samples, within=8)
    for world in (1, 2):
        for rank in range(world):
            order = EpochOrder(
                samples=samples, batch_size=24, seed=7, epoch=2, pairs=pairs, rank=rank, world=world, **windows
            )
            for step in range(len(order) - 1):
                batch = order.batch(step)
                np.testing.assert_array_equal(pairs.partner(batch).reshape(-1, 2)[:, ::-1], batch.reshape(-1, 2))


def test_the_odd_one_out_comes_last():
    pairs = PairOrder(seed=5, view=2, samples=203)
    assert _whole(EpochOrder(**PLAIN, pairs=pairs))[-1] == pairs.sample_at(np.array([202]))


@pytest.mark.parametrize("kind", ["all together", "pairs"])
def test_samples_sorted_by_class_come_well_mixed(kind):
    fields = {"pairs": PairOrder(seed=3, view=0, samples=50_000)} if kind == "pairs" else {}
    order = EpochOrder(samples=50_000, batch_size=500, seed=0, epoch=0, **fields)
    counts = np.stack([np.bincount(batch // 5000, minlength=10) for batch in order.batches()])
    # chi-squared with 99 * 9 degrees of freedom: 1054 is its 99.99 % point, 743 its 0.01 % point
    assert 743 < ((counts - 50) ** 2 / 50).sum() < 1054


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ConfigError, match=r"batch of 24 cannot be shared by 5.*multiple of 5"):
        EpochOrder(**PLAIN, rank=0, world=5)


@pytest.mark.parametrize(("within", "named"), [(0, "all rows"), (10, "10 rows")])
def test_windows_refuse_partners_in_other_chunks(within, named):
    with pytest.raises(ConfigError, match=f"{named}.*divides 16, or set order.window to 0"):
        EpochOrder(**PLAIN, chunk_rows=16, window=2, pairs=PairOrder(seed=0, view=0, samples=203, within=within))


def test_a_window_is_not_negative():
    with pytest.raises(ConfigError, match="window"):
        build(OrderConfig, {"window": -1})


@pytest.mark.parametrize(
    ("memory_gb", "window"),
    [
        (1.0, 0),  # the million samples of 1,000 bytes fit exactly
        (0.999, 333),  # three windows of 333 chunks of 1,000 rows
        (0.3, 100),
        (0.096, 32),
    ],
)
def test_the_window_follows_from_sizes_and_memory_alone(memory_gb, window):
    order = OrderConfig(memory_gb=memory_gb)
    assert order.window_of(samples=10**6, chunk_rows=1000, sample_bytes=1000) == window


def test_memory_for_fewer_chunks_than_hold_all_classes_is_refused_with_what_is_needed():
    sizes = {"samples": 10**6, "chunk_rows": 1000, "sample_bytes": 1000}
    with pytest.raises(
        ConfigError, match=r"memory_gb is 0\.05; .* take 1\.0 GB.* to at least 0\.096, .* at 0\.003 GB for each"
    ):
        OrderConfig(memory_gb=0.05).window_of(**sizes)
    # of 90 chunks three windows of 32 would hold all, which is the view itself
    with pytest.raises(ConfigError, match=r"Set order\.memory_gb to at least 0\.09, "):
        OrderConfig(memory_gb=0.05).window_of(**sizes | {"samples": 90_000})
    assert OrderConfig(memory_gb=0.09).window_of(**sizes | {"samples": 90_000}) == 0


@given(
    samples=st.integers(1, 10**8), chunk_rows=st.integers(1, 10**4), sample_bytes=st.integers(1, 10**5),
    memory_gb=st.floats(1e-9, 100),
)  # fmt: skip
def test_what_is_held_fits_the_memory_or_is_refused_and_what_is_asked_for_suffices(
    samples, chunk_rows, sample_bytes, memory_gb
):
    sizes = {"samples": samples, "chunk_rows": chunk_rows, "sample_bytes": sample_bytes}
    order = OrderConfig(memory_gb=memory_gb)
    try:
        window = order.window_of(**sizes)
    except ConfigError as refusal:
        order = OrderConfig(memory_gb=float(re.search(r"memory_gb to at least (\S+), ", str(refusal))[1]))
        assert order.memory_gb > memory_gb
        window = order.window_of(**sizes)
    held = min(samples, 3 * window * chunk_rows) if window else samples
    assert held * sample_bytes <= order.memory_gb * 1e9 * (1 + 1e-9)


@pytest.mark.parametrize("window", [0, 7])
def test_a_window_that_is_asked_for_is_obeyed(window):
    order = OrderConfig(window=window, memory_gb=1e-6)
    assert order.window_of(samples=10**6, chunk_rows=1000, sample_bytes=1000) == window


@settings(max_examples=40)
@given(order=_orders().filter(lambda order: order.window))
def test_rows_come_window_by_window(order):
    # pairs stand in runs of keyed rows
    kind = "keyed" if order.pairs else "by_sample"
    rows = RowOrder(kind=kind, seed=0, samples=order.samples).row_of_sample[_whole(order)]
    # the odd one out of pairs comes last of all, wherever it lies
    rows = rows[:-1] if order.pairs and order.samples % 2 else rows
    numbers = order.windows.of_rows(rows)
    assert (np.diff(numbers) >= 0).all()
    for number in range(len(order.windows)):
        assert set(rows[numbers == number]) <= set(order.windows.rows(number))
