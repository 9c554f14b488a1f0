import json

import pytest
import zarr
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore

from cache_kd.store.arrays import arrays_of, metadata_fault, metadata_files
from cache_kd.store.codec import codec_names


@pytest.mark.parametrize("codec", codec_names())
def test_the_metadata_is_what_zarr_itself_would_write(describe, codec, tmp_path):
    for array in arrays_of(describe(codec=codec), "train"):
        zarr.create_array(
            LocalStore(tmp_path),
            name=array.path,
            shape=array.shape,
            dtype=array.dtype,
            chunks=array.chunk_shape or array.object_shape,
            shards=array.object_shape if array.chunk_shape else None,
            compressors=[Crc32cCodec()],
            filters=None,
            fill_value=float("nan") if array.fill == "NaN" else array.fill,
            dimension_names=array.dimensions,
        )
        written = json.loads((tmp_path / array.path / "zarr.json").read_bytes())
        ours = array.metadata()
        assert {key: written[key] for key in ours} == ours


def test_any_zarr_reader_walks_the_store(store, teach):
    group = zarr.open_group(store, mode="r", zarr_format=3)
    assert group.attrs["cache_kd"]["parts"]["train"]["views"] == 2
    assert group["logits/dense"].shape == (2, 64, 10)
    assert group["test/logits/dense"].shape == (1, 32, 10)
    assert group["view_digest"].shape == (2, 64)
    assert group["labels"][:3].tolist() == [0, 1, 2]


def test_arrays_with_fewer_or_other_rows_than_the_manifest_are_a_fault(store, describe):
    smaller, larger = metadata_files(describe(views=1)), metadata_files(describe(views=3))
    other = metadata_files(describe(classes=9))
    file = "logits/dense/zarr.json"
    assert metadata_fault(store, file, smaller[file]) is None  # as an interrupted growth leaves them
    assert "shape" in metadata_fault(store, file, larger[file])
    assert "shape" in metadata_fault(store, file, other[file])
