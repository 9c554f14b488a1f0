"""Windows against whole views, and whole views against zarr-python, for stores of every cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_kd.errors import StoreDamaged, StoreError
from cache_kd.order import EpochOrder
from cache_kd.store.arrays import digest_array, logit_arrays
from cache_kd.store.reader import Reader
from cache_kd.store.windows import Windows
from cache_kd.views.pairs import PairOrder

ROWS = 203
CUTS = {"float32": (16, 48), "uint8": (8, 40), "float16": (40, 80), "packed": (16, 208)}  # rows of chunk and shard


def _cut(manifest, chunk_rows, shard_rows):
    part = manifest.parts["train"].model_copy(update={"chunk_rows": chunk_rows, "shard_rows": shard_rows})
    return manifest.model_copy(update={"parts": {"train": part}})


@pytest.fixture(scope="module")
def paths(describe, write, tmp_path_factory):
    """A store of two views of 203 rows for each codec, each of another cut."""
    root = tmp_path_factory.mktemp("cuts")
    for codec, cut in CUTS.items():
        write(root / codec, _cut(describe(codec=codec, train=ROWS, test=None), *cut))
    return {codec: root / codec for codec in CUTS}


@pytest.fixture
def damaged(describe, write, tmp_path):
    """A store that a test may damage: nine chunks in five shards."""
    write(tmp_path / "store", _cut(describe(train=130, test=None), 16, 32))
    return tmp_path / "store"


def _order(samples, reader, **fields):
    knobs = {"batch_size": 24, "seed": 3, "epoch": 0, "chunk_rows": 16, "window": 2}
    return EpochOrder(samples=samples, rows=reader.manifest.row_order("train"), **(knobs | fields))


def _same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("codec", CUTS)
def test_a_whole_view_is_what_zarr_reads(paths, codec):
    reader = Reader.open(paths[codec])
    row_of_sample = reader.manifest.row_order("train").row_of_sample
    for number in (0, 1):
        view = reader.view("train", number)
        for name, array in logit_arrays(reader.manifest, "train").items():
            assert np.array_equal(view.arrays[name], array.open(paths[codec])[number])
        digests = np.asarray(digest_array(reader.manifest, "train").open(paths[codec])[number])
        assert np.array_equal(reader.digests("train", number), digests[row_of_sample])


@settings(max_examples=20)
@given(
    codec=st.sampled_from(list(CUTS)), window=st.integers(1, 20), batch_size=st.integers(1, 90),
    epoch=st.integers(0, 3), world=st.sampled_from([1, 3]), paired=st.booleans(),
)  # fmt: skip
def test_batches_are_the_same_in_windows_and_from_the_whole_view(
    paths, codec, window, batch_size, epoch, world, paired
):
    reader = Reader.open(paths[codec])
    whole = reader.view("train", 1)
    pairs = PairOrder(seed=0, view=1, samples=ROWS, within=8) if paired else None
    for rank in range(world):
        order = _order(
            ROWS, reader, window=window, batch_size=batch_size * world, epoch=epoch, pairs=pairs, rank=rank, world=world
        )
        windowed = reader.windowed("train", 1, order.windows)
        for samples in order.batches():
            assert _same(windowed.encoded(samples), whole.encoded(samples))


def test_samples_may_come_in_any_order_and_in_none(paths):
    reader = Reader.open(paths["uint8"])
    windowed = reader.windowed("train", 0, _order(ROWS, reader).windows)
    whole = reader.view("train", 0)
    generator = np.random.default_rng(0)
    for count in (5, 0, 70, 1, 203):
        samples = generator.integers(0, ROWS, count)
        assert _same(windowed.encoded(samples), whole.encoded(samples))


def test_no_more_than_three_windows_are_in_memory(paths):
    reader = Reader.open(paths["float32"])
    order = _order(ROWS, reader, window=3)
    windowed = reader.windowed("train", 0, order.windows)
    for samples in order.batches():
        windowed.encoded(samples)
        assert len(windowed._held) + len(windowed._spare) <= 3


def test_an_epoch_that_goes_on_in_the_middle_reads_its_own_window_and_the_next(paths):
    reader = Reader.open(paths["uint8"])
    order = _order(ROWS, reader, chunk_rows=8, window=2)
    step = 5
    windows = order.windows
    rows = reader.manifest.row_order("train").row_of_sample[order.batch(step)]
    needed = set(windows.of_rows(rows))
    windowed = reader.windowed("train", 0, windows)
    assert _same(windowed.encoded(order.batch(step)), reader.view("train", 0).encoded(order.batch(step)))
    assert set(windowed._held) == needed | {max(needed) + 1}


def test_windows_are_all_rows_once():
    windows = Windows(chunks=np.array([2, 0, 3, 1]), window=3, chunk_rows=5)
    assert len(windows) == 2
    assert np.array_equal(windows.rows(0), [*range(5), *range(10, 20)])
    assert np.array_equal(windows.rows(1), range(5, 10))
    assert np.array_equal(windows.of_rows(np.array([0, 5, 10, 17])), [0, 1, 0, 0])


def test_a_view_that_is_not_there_is_an_error(paths):
    reader = Reader.open(paths["uint8"])
    with pytest.raises(StoreError, match="from 0; 2 was asked for"):
        reader.windowed("train", 2, _order(ROWS, reader).windows)


def _rights(reader, expected, order):
    """How many batches of an epoch were right before the first one that was refused; none is ever wrong."""
    windowed = reader.windowed("train", 0, order.windows)
    for step, samples in enumerate(order.batches()):
        try:
            rows = windowed.encoded(samples)
        except StoreDamaged:
            return step
        assert _same(rows, expected.encoded(samples))
    return len(order)


def test_a_damaged_shard_ends_the_epoch_at_its_first_row(damaged):
    expected = Reader.open(damaged).view("train", 0)
    shard = damaged / "logits/dense/c/0/2/0"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    reader = Reader.open(damaged)
    order = _order(130, reader, batch_size=8, window=1)
    rows = reader.manifest.row_order("train").row_of_sample
    first = next(step for step, samples in enumerate(order.batches()) if (rows[samples] // 32 == 2).any())
    assert _rights(reader, expected, order) == first


@pytest.mark.parametrize("damage", ["swapped", "missing", "short", "of another view"])
def test_what_happens_to_a_store_while_it_is_read_is_never_read_as_right(damaged, damage):
    reader = Reader.open(damaged)
    expected = reader.view("train", 0)
    order = _order(130, reader)
    assert _rights(reader, expected, order) == len(order)
    shards = [damaged / f"logits/dense/c/0/{number}/0" for number in range(5)]
    if damage == "swapped":
        shards[0].rename(damaged / "aside")
        shards[1].rename(shards[0])
        (damaged / "aside").rename(shards[1])
    elif damage == "missing":
        shards[1].unlink()
    elif damage == "short":
        shards[1].write_bytes(shards[1].read_bytes()[:-7])
    else:
        shards[1].write_bytes((damaged / "logits/dense/c/1/1/0").read_bytes())
    assert _rights(reader, expected, order) < len(order)
    with pytest.raises(StoreDamaged):
        reader.view("train", 0)
