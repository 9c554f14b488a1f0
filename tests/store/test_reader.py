import pickle
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import zarr

from cache_kd.errors import StoreDamaged, StoreError, StoreIncomplete
from cache_kd.store.codec import make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import read_manifest, root_file
from cache_kd.store.reader import Reader
from cache_kd.store.record import shard_piece, write_record


def test_rows_come_in_the_order_they_are_asked_for(store, teach):
    view = Reader.open(store).view("train", 1)
    samples = np.array([63, 0, 17, 17, 40])
    logits, _ = teach(Shard(part="train", view=1, index=0, start=0, stop=64))
    assert np.array_equal(view.rows(samples), logits.numpy()[samples])


def test_a_view_stays_as_narrow_as_it_was_stored(describe, write, tmp_path):
    write(tmp_path / "store", describe(codec="float16"))
    view = Reader.open(tmp_path / "store").view("train", 0)
    assert view.nbytes == 64 * 10 * 2
    assert view.rows(np.arange(3)).dtype == np.float32


def test_a_sample_beyond_the_end_is_an_error(store):
    with pytest.raises(IndexError):
        Reader.open(store).view("test", 0).rows(np.array([32]))
    with pytest.raises(StoreError, match=r"holds 2 view\(s\) of train, from 0; 2 was asked for"):
        Reader.open(store).view("train", 2)


def test_an_unfinished_store_says_how_much_is_missing_and_how_to_finish_it(describe, write, tmp_path):
    path = tmp_path / "store"
    write(path, describe(), at_most=5)
    with pytest.raises(StoreIncomplete, match=r"lacks 5 of 10 shards: .*kdcache dump --data images.h5 .*--store"):
        Reader.open(path)
    reader = Reader.open(path, partial=True)
    assert 0 < reader.complete < 1
    assert reader.view("train", 0).nbytes == 64 * 10 * 4
    with pytest.raises(StoreIncomplete):
        reader.view("test", 0)


def test_labels_that_are_missing_make_a_store_unfinished(store):
    (store / "done/test.labels.json").unlink()
    with pytest.raises(StoreIncomplete, match="lacks test labels"):
        Reader.open(store)


def test_a_codec_of_another_release_is_refused(store, describe, monkeypatch):
    monkeypatch.setattr("cache_kd.store.manifest.make_codec", lambda spec: make_codec("float16"))
    (store / "zarr.json").write_bytes(root_file(describe(codec={"name": "float12"})))
    with pytest.raises(StoreError, match=r"no codec 'float12'.*Upgrade cache_kd"):
        Reader.open(store)


def test_a_flipped_bit_names_its_file_and_the_mend(store):
    shard = store / "logits/dense/c/0/1/0"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    reader = Reader.open(store)
    with pytest.raises(StoreDamaged, match=rf"train view 0, rows 16 to 31: {shard} .*kdcache verify .*--deep"):
        reader.view("train", 0)
    assert reader.view("train", 1).nbytes
    assert reader.check(deep=False) == []
    assert reader.check(deep=True) == [
        f"train view 0, rows 16 to 31: {shard} has other bytes than were written (sha256)"
    ]


def test_a_flipped_bit_that_the_record_vouches_for_is_caught_by_the_chunk(store):
    shard = store / "logits/dense/c/0/1/0"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    _vouch(store, 1)
    with pytest.raises(StoreDamaged, match=r"logits/dense/c/0/1/0 .*checksum"):
        Reader.open(store).view("train", 0)


def test_a_row_of_nan_is_never_a_number(store):
    array = zarr.open_array(store, path="logits/dense", mode="r+")
    array[0, 16:32] = np.where(np.arange(160).reshape(16, 10) == 7, np.nan, 1)
    _vouch(store, 1)
    with pytest.raises(StoreDamaged, match="rows that were never written"):
        Reader.open(store).view("train", 0)


def test_a_shard_of_another_view_is_not_taken(store):
    (store / "logits/dense/c/0/1/0").write_bytes((store / "logits/dense/c/1/1/0").read_bytes())
    with pytest.raises(StoreDamaged, match="other bytes than were written"):
        Reader.open(store).view("train", 0)


def test_a_record_of_another_store_does_not_count(store, describe, write, tmp_path):
    write(tmp_path / "other", describe(seed=1))
    (store / "done/train.0.0.json").write_bytes((tmp_path / "other/done/train.0.0.json").read_bytes())
    with pytest.raises(StoreDamaged, match="belongs to another store"):
        Reader.open(store)


def test_check_names_every_kind_of_fault(store):
    (store / "done/train.0.0.json").unlink()
    (store / "logits/dense/c/0/1/0").unlink()
    (store / "view_digest/c/0/2").write_bytes(b"torn")
    (store / "stranger.npy").write_bytes(b"")
    (store / "labels/zarr.json").write_text("{}")
    faults = "\n".join(Reader(store, read_manifest(store)).check())
    assert "train view 0, rows 0 to 15: not written" in faults
    assert "c/0/1/0 is missing" in faults
    assert "view_digest/c/0/2 has 4 bytes, 68 were written" in faults
    assert "stranger.npy does not belong to this store" in faults
    assert "labels/zarr.json disagrees with the manifest" in faults


def test_a_whole_store_has_no_faults(store):
    reader = Reader.open(store)
    assert reader.check(deep=True) == []
    assert reader.complete == 1


def test_threads_may_share_a_reader(store):
    reader = Reader.open(store)
    expected = reader.view("train", 0).rows(np.arange(64))
    with ThreadPoolExecutor(8) as pool:
        views = pool.map(lambda _: reader.view("train", 0).rows(np.arange(64)), range(16))
        assert all(np.array_equal(view, expected) for view in views)


def test_a_reader_that_was_used_survives_a_fork(store):
    reader = Reader.open(store)
    expected = float(reader.view("train", 0).rows(np.arange(64)).sum())
    context = get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_sum, args=(reader, answers))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert answers.get() == expected


def test_a_reader_can_be_sent_to_another_process(store):
    reader = Reader.open(store)
    again = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(again.labels("train"), reader.labels("train"))


def _sum(reader, answers):
    answers.put(float(reader.view("train", 0).rows(np.arange(64)).sum()))


def _vouch(store, index):
    """Record a shard of view 0 of the train part as it now is."""
    manifest = read_manifest(store)
    shard = manifest.parts["train"].layout.shards("train")[index]
    write_record(store, manifest.store_id, shard_piece(manifest, shard))
