"""Files that are written here against those that zarr-python writes and reads."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_kd.store.arrays import METADATA_FILE, StoredArray
from cache_kd.store.object_form import LINE_BYTES, form_of
from cache_kd.store.object_writer import write_object


def _array(*, rows, chunk, chunks, width, dtype):
    return StoredArray(
        path="rows", shape=(1, rows, width), dtype=dtype, fill="NaN" if dtype.startswith("float") else 0,
        object_shape=(1, chunk * chunks, width), chunk_shape=(1, chunk, width), dimensions=("view", "row", "width"),
    )  # fmt: skip


def _made(folder, array):
    (folder / array.path).mkdir(parents=True)
    (folder / array.path / METADATA_FILE).write_text(json.dumps(array.metadata()))
    file = folder / array.file(0, 0, 0)
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture
def array():
    return _array(rows=10, chunk=4, chunks=4, width=3, dtype="float32")


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


@settings(max_examples=60)
@given(
    rows=st.integers(1, 40), chunk=st.integers(1, 7), chunks=st.integers(1, 12), width=st.integers(1, 40),
    dtype=st.sampled_from(["float16", "float32", "uint8", "uint16", "int8", "uint32", "int64"]),
)  # fmt: skip
def test_zarr_reads_the_rows_whole_and_in_part_and_the_chunks_are_its_own(rows, chunk, chunks, width, dtype):
    rows = min(rows, chunk * chunks)
    array = _array(rows=rows, chunk=chunk, chunks=chunks, width=width, dtype=dtype)
    values = (np.arange(rows * width) * 37 % 251).reshape(rows, width).astype(dtype)
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        file, other = _made(Path(ours), array), _made(Path(theirs), array)
        write_object(file, array, values)
        opened = array.open(Path(ours))
        assert np.array_equal(opened[0], values)
        assert np.array_equal(opened[0, rows // 2], values[rows // 2])
        with zarr.config.set({"array.write_empty_chunks": True}):
            zarr.open_array(Path(theirs) / array.path, mode="r+")[0] = values
        assert _chunks(file, array) == _chunks(other, array)


def _chunks(file, array):
    """The chunks of a file with their checksums, by the offsets that its index gives; None for one that it lacks."""
    content, form = file.read_bytes(), form_of(array)
    index = np.frombuffer(content[-form.index_bytes : -4], dtype="<u8").reshape(-1, 2).tolist()
    return [None if offset == 2**64 - 1 else content[offset : offset + length] for offset, length in index]


def test_chunks_begin_at_cache_lines_and_the_gap_between_them_is_short(tmp_path, array, rows):
    file = _made(tmp_path, array)
    write_object(file, array, rows)
    form = form_of(array)
    index = np.frombuffer(file.read_bytes()[-form.index_bytes : -4], dtype="<u8").reshape(-1, 2)
    assert index[:3, 0].tolist() == [0, LINE_BYTES, 2 * LINE_BYTES]
    assert index[:3, 1].tolist() == [4 * 3 * 4 + 4] * 3
    assert (index[3] == 2**64 - 1).all()
    assert file.stat().st_size == 3 * LINE_BYTES + form.index_bytes


def test_a_plain_chunk_is_the_file_that_zarr_writes(tmp_path, array, rows):
    plain = replace(array, chunk_shape=None)
    file, other = _made(tmp_path / "ours", plain), _made(tmp_path / "theirs", plain)
    write_object(file, plain, rows)
    zarr.open_array(tmp_path / "theirs" / plain.path, mode="r+")[0] = rows
    assert file.read_bytes() == other.read_bytes()


def test_rows_in_another_order_of_memory_or_bytes_are_the_same_file(tmp_path, array, rows):
    files = []
    for number, content in enumerate([rows, np.asfortranarray(rows), rows.astype(">f4"), rows.repeat(2, 0)[::2]]):
        files.append(_made(tmp_path / str(number), array))
        write_object(files[-1], array, content)
    assert len({file.read_bytes() for file in files}) == 1


def test_a_file_that_is_there_is_never_written_to(tmp_path, array, rows):
    file = _made(tmp_path, array)
    file.write_bytes(b"of another store, by a link")
    with pytest.raises(FileExistsError):
        write_object(file, array, rows)
    assert file.read_bytes() == b"of another store, by a link"
