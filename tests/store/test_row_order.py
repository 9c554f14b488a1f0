import numpy as np
import pytest

from cache_kd.store.reader import Reader
from cache_kd.store.row_order import RowOrder


@pytest.mark.parametrize("kind", ["keyed", "by_sample"])
def test_the_tables_are_each_others_inverse(kind):
    order = RowOrder(kind=kind, seed=3, samples=1001)
    assert np.array_equal(order.row_of_sample[order.sample_of_row], np.arange(1001))
    assert np.array_equal(np.sort(order.sample_of_row), np.arange(1001))


def test_the_keyed_order_is_the_golden_one():
    assert RowOrder(kind="keyed", seed=0, samples=8).sample_of_row.tolist() == [3, 2, 6, 1, 5, 7, 0, 4]
    assert RowOrder(kind="by_sample", seed=0, samples=3).sample_of_row.tolist() == [0, 1, 2]


def test_a_run_of_keyed_rows_holds_all_classes():
    classes = np.arange(50_000) // 500  # sorted by class, as folders of images are
    order = RowOrder(kind="keyed", seed=0, samples=50_000)
    chunk = order.sample_of_row[2048:4096]
    counts = np.bincount(classes[chunk], minlength=100)
    # 20.5 of each are expected; a hypergeometric count lies within 5 standard deviations of 4.4
    assert counts.min() > 0
    assert counts.max() < 43


def test_the_store_says_which_sample_stands_in_each_row(store):
    reader = Reader.open(store)
    for part in reader.manifest.parts:
        [_, (array, samples)] = reader.of_samples(part)
        assert array.path.endswith("samples")
        assert np.array_equal(samples, reader.manifest.row_order(part).sample_of_row)


def test_a_shard_holds_the_samples_of_its_rows(store, teach):
    reader = Reader.open(store)
    shard = reader.manifest.parts["train"].layout.shards_of("train", 1)[2]
    encoded, digests = reader.shard(shard)
    logits, expected = teach(shard, samples=reader.manifest.samples_of(shard))
    assert np.array_equal(encoded["dense"], logits.numpy())
    assert np.array_equal(digests, expected)
