import numpy as np
import pytest
import torch

from cache_kd.order import EpochOrder
from cache_kd.store.cached_rows import CachedRows
from cache_kd.store.reader import Reader


@pytest.fixture
def reader(describe, write, tmp_path):
    """A uint8 store of four views of 64 rows, 18 bytes each."""
    write(tmp_path / "store", describe(codec="uint8", test=None, views=4))
    return Reader.open(tmp_path / "store")


def test_rows_of_several_views_stand_one_view_after_another(reader):
    samples = np.array([5, 60, 0])
    rows = CachedRows(reader, 0)((2, 0), None)(samples)
    assert len(rows) == 6
    both = [reader.view("train", view).rows(samples) for view in (2, 0)]
    assert np.array_equal(rows.logits().numpy(), np.concatenate(both))


def test_rows_stay_encoded_until_their_logits_are_asked_for(reader):
    rows = CachedRows(reader, 0)((0,), None)(np.arange(3))
    assert rows.tensors["codes"].dtype == torch.uint8
    moved = rows.to(torch.device("cpu"), non_blocking=True)
    assert moved.logits().dtype == torch.float32
    assert torch.equal(moved.logits(), rows.logits())


def test_windows_and_whole_views_give_the_same_rows(reader):
    order = EpochOrder(
        samples=64, batch_size=20, seed=0, epoch=1, chunk_rows=16, rows=reader.manifest.row_order("train"), window=2
    )
    cached = CachedRows(reader, 0)
    whole, windowed = cached((1, 3), None), cached((1, 3), order.windows)
    for samples in order.batches():
        assert torch.equal(whole(samples).logits(), windowed(samples).logits())


@pytest.mark.parametrize(("room", "kept"), [(0, {3}), (1, {3}), (2, {0, 3}), (4, {0, 1, 2, 3})])
def test_views_are_kept_as_far_as_memory_allows_and_the_first_ones_of_a_cycle_stay(reader, room, kept):
    cached = CachedRows(reader, room * 64 * 18)
    for view in (0, 1, 2, 3):
        cached((view,), None)
    assert set(cached._kept) == kept


def test_a_kept_view_is_not_read_again(reader):
    cached = CachedRows(reader, 64 * 18)
    expected = cached((0,), None)(np.arange(64)).logits()
    (reader.path / "logits/codes/c/0/0/0").unlink()
    assert torch.equal(cached((0,), None)(np.arange(64)).logits(), expected)


def test_views_of_one_batch_are_held_together_whatever_they_take(reader):
    cached = CachedRows(reader, 0)
    cached((0,), None)
    assert len(cached((1, 2), None)(np.arange(2))) == 4
    assert set(cached._kept) == {1, 2}
