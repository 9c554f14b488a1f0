import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.store.layout import choose_layout

counts = st.integers(1, 3_000_000)
row_bytes = st.sampled_from([1, 2, 20, 200, 1000, 2000, 43_682])


@given(samples=counts, row_bytes=row_bytes)
def test_shards_cover_every_row_once_and_in_order(samples, row_bytes):
    shards = choose_layout(samples, views=1, row_bytes=row_bytes).shards("train")
    assert [shard.start for shard in shards] == [0, *(shard.stop for shard in shards[:-1])]
    assert shards[-1].stop == samples
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(shard.rows > 0 for shard in shards)


@given(samples=counts, row_bytes=row_bytes)
def test_a_shard_holds_whole_chunks_and_at_most_thirty_two(samples, row_bytes):
    layout = choose_layout(samples, views=1, row_bytes=row_bytes)
    chunks, rest = divmod(layout.shard_rows, layout.chunk_rows)
    assert rest == 0
    assert 1 <= chunks <= 32


@given(samples=st.integers(64, 3_000_000), row_bytes=row_bytes)
def test_a_store_has_at_least_four_shards(samples, row_bytes):
    assert choose_layout(samples, views=1, row_bytes=row_bytes).shards_per_view >= 4


@given(samples=st.integers(1000, 3_000_000), row_bytes=row_bytes)
def test_padding_of_the_last_shard_stays_below_a_fifth(samples, row_bytes):
    layout = choose_layout(samples, views=1, row_bytes=row_bytes)
    assert layout.shards_per_view * layout.shard_rows < 1.2 * samples


@pytest.mark.parametrize(
    ("samples", "row_bytes", "chunk_rows", "shard_rows", "shards"),
    [
        (1_281_167, 2000, 512, 15_872, 81),
        (1_281_167, 1000, 1024, 30_720, 42),
        (50_000, 200, 2048, 10_240, 5),
        (10_000, 20, 512, 2560, 4),
    ],
)
def test_the_layouts_of_known_data(samples, row_bytes, chunk_rows, shard_rows, shards):
    layout = choose_layout(samples, views=1, row_bytes=row_bytes)
    assert (layout.chunk_rows, layout.shard_rows) == (chunk_rows, shard_rows)
    assert layout.shards_per_view == shards


def test_the_number_of_views_moves_no_cut():
    one, many = (choose_layout(5000, views=views, row_bytes=20) for views in (1, 8))
    assert one.shards("train") == many.shards("train")[: one.shards_per_view]
    assert len(many.shards("train")) == 8 * one.shards_per_view


def test_shards_go_view_by_view():
    shards = choose_layout(100, views=3, row_bytes=20).shards("train")
    assert [shard.view for shard in shards] == sorted(shard.view for shard in shards)
    assert str(shards[0]) == f"train view 0, rows 0 to {shards[0].stop - 1}"
