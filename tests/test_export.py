"""A store as one HDF5 file: all of it, readable by anybody, whole or not there."""

import os

import h5py
import numpy as np
import pytest

from cache_kd.errors import StoreDamaged, StoreError, StoreIncomplete
from cache_kd.exchange.export import export_store
from cache_kd.store.layout import Shard
from cache_kd.store.reader import Reader


@pytest.mark.parametrize("compression", ["gzip", "lzf", "none"])
def test_anybody_who_reads_hdf5_finds_every_number_under_its_name_in_the_store(stores, tmp_path, compression):
    reader = Reader.open(stores["float16"])
    result = export_store(stores["float16"], tmp_path / "out.h5", compression=compression)
    assert result.store_id == reader.manifest.store_id
    assert result.rows == 2 * 512 + 128
    assert result.bytes == (tmp_path / "out.h5").stat().st_size
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["logits/dense"].compression == (None if compression == "none" else compression)
        assert file["logits/dense"].chunks == (1, reader.manifest.parts["train"].chunk_rows, 10)
        assert [dimension.label for dimension in file["logits/dense"].dims] == ["view", "row", "width"]
        for view in range(2):
            assert np.array_equal(file["logits/dense"][view], reader.view("train", view).arrays["dense"])
            assert np.array_equal(file["view_digest"][view], reader.digests("train", view)[file["samples"][:]])
            assert np.array_equal(file[f"witness/{view}"], reader.witnesses(view))
        assert np.array_equal(file["test/logits/dense"][0], reader.view("test", 0).arrays["dense"])
        assert np.array_equal(file["labels"], reader.labels("train"))
        assert np.array_equal(file["test/labels"], reader.labels("test"))
        assert f'"store_id": "{result.store_id}"' in file["manifest"].asstr()[()]


def test_gzip_makes_logits_smaller(stores, tmp_path):
    small = export_store(stores["float16"], tmp_path / "small.h5").bytes
    assert small < export_store(stores["float16"], tmp_path / "large.h5", compression="none").bytes


def test_a_file_that_is_there_is_replaced_only_by_force(stores, tmp_path):
    out = tmp_path / "out.h5"
    out.write_text("a thesis")
    with pytest.raises(StoreError, match=r"out\.h5 is there already. .*--force"):
        export_store(stores["float16"], out)
    assert out.read_text() == "a thesis"
    export_store(stores["float16"], out, force=True)
    assert h5py.is_hdf5(out)
    assert os.listdir(tmp_path) == ["out.h5"]


def test_a_folder_and_a_place_inside_the_store_are_refused(own_store, tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        export_store(own_store, tmp_path, force=True)
    with pytest.raises(StoreError, match="inside the store"):
        export_store(own_store, own_store / "out.h5")
    assert Reader.open(own_store).check() == []


def test_an_unfinished_store_is_not_exported(own_store, tmp_path):
    (own_store / "done/train.1.0.json").unlink()
    with pytest.raises(StoreIncomplete, match="lacks 1 of"):
        export_store(own_store, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    "file",
    ["logits/dense/c/1/0/0", "view_digest/c/0/1", "test/labels/c/0", "test/logits/dense/c/0/0/0", "witness/1.npy"],
)
def test_a_flipped_byte_in_any_file_of_the_store_stops_the_export_and_leaves_nothing(own_store, tmp_path, file):
    content = bytearray((own_store / file).read_bytes())
    content[len(content) // 2] ^= 1
    (own_store / file).write_bytes(content)
    with pytest.raises(StoreDamaged, match="other bytes than were written"):
        export_store(own_store, tmp_path / "out.h5")
    assert sorted(os.listdir(tmp_path)) == ["store"]


def test_a_full_disk_is_one_sentence_and_keeps_what_was_there(stores, small_disk):
    out = small_disk / "out.h5"
    out.write_bytes(bytes(2**20 - 2**16))
    with pytest.raises(StoreError, match="the disk is full"):
        export_store(stores["float32"], out, force=True, compression="none")
    assert os.listdir(small_disk) == ["out.h5"]
    assert out.read_bytes() == bytes(2**20 - 2**16)


def test_a_shard_is_read_as_it_is_stored(stores):
    reader = Reader.open(stores["float16"])
    rows = reader.manifest.parts["train"].shard_rows
    encoded, digests = reader.shard(Shard(part="train", view=1, index=1, start=rows, stop=2 * rows))
    assert encoded["dense"].dtype == np.float16
    assert np.array_equal(encoded["dense"], reader.view("train", 1).arrays["dense"][rows : 2 * rows])
    samples = reader.manifest.row_order("train").sample_of_row[rows : 2 * rows]
    assert np.array_equal(digests, reader.digests("train", 1)[samples])
