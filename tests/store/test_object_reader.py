"""One file against zarr-python, which wrote it or reads it, too, and against every way to damage it."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_kd.store.arrays import METADATA_FILE, StoredArray
from cache_kd.store.object_form import form_of
from cache_kd.store.object_reader import Seen, Unsound, read_chunks
from cache_kd.store.object_writer import write_object
from cache_kd.store.signature import signature_of

CHUNK, CHUNKS, WIDTH, ROWS = 16, 3, 2, 40  # a shard of three chunks, the last one short


def _array(*, rows, chunk, chunks, width, dtype, sharded=True):
    return StoredArray(
        path="rows", shape=(1, rows, width), dtype=dtype, fill="NaN" if dtype.startswith("float") else 0,
        object_shape=(1, chunk * chunks, width), chunk_shape=(1, chunk, width) if sharded else None,
        dimensions=("view", "row", "width"),
    )  # fmt: skip


def _described(folder, array):
    place = folder / array.path
    place.mkdir(parents=True, exist_ok=True)
    (place / METADATA_FILE).write_text(json.dumps(array.metadata()))


def _written(folder, array, values, *, by_zarr=False):
    """The array on the disk, shard by shard, as zarr sees it."""
    _described(folder, array)
    with zarr.config.set({"array.write_empty_chunks": True}):
        opened = zarr.open_array(folder / array.path, mode="r+")
    for number, start in enumerate(range(0, array.shape[1], array.object_shape[1])):
        rows = values[start : start + array.object_shape[1]]
        if by_zarr:
            opened[0, start : start + len(rows)] = rows
        else:
            file = folder / array.file(0, number, 0)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            write_object(file, array, rows)
    return array.open(folder)


def _values(rows, width, dtype):
    return (np.arange(rows * width) * 37 % 251).reshape(rows, width).astype(dtype)


def _read(file, array, rows, *, seen=None, sha256=None):
    """All rows of a file that holds `rows` of them, and what was seen."""
    form = form_of(array)
    into = np.full((rows, array.shape[2]), 99, dtype=array.dtype)
    length = (array.chunk_shape or array.object_shape)[1]
    wanted = {start // length: into[start : start + length] for start in range(0, rows, length)}
    written = sha256 or hashlib.sha256(file.read_bytes()).hexdigest()
    state = read_chunks(
        file, form, wanted, filled=rows * array.shape[2] * into.itemsize, sha256=lambda: written, seen=seen
    )
    return into, state


@settings(max_examples=60)
@given(
    rows=st.integers(1, 50), chunk=st.integers(1, 7), chunks=st.integers(1, 5), width=st.integers(1, 4),
    dtype=st.sampled_from(["float16", "float32", "uint8", "uint16", "int8", "uint32"]), sharded=st.booleans(),
    by_zarr=st.booleans(),
)  # fmt: skip
def test_every_file_reads_as_zarr_reads_it_the_first_time_and_again(
    rows, chunk, chunks, width, dtype, sharded, by_zarr
):
    array = _array(rows=rows, chunk=chunk, chunks=chunks, width=width, dtype=dtype, sharded=sharded)
    with tempfile.TemporaryDirectory() as name:
        oracle = _written(Path(name), array, _values(rows, width, dtype), by_zarr=by_zarr)
        length = array.object_shape[1]
        for number, start in enumerate(range(0, rows, length)):
            expected = np.asarray(oracle[0, start : start + length])
            file = Path(name) / array.file(0, number, 0)
            first, seen = _read(file, array, len(expected))
            again, still = _read(file, array, len(expected), seen=seen, sha256="not asked for")
            assert np.array_equal(first, expected)
            assert np.array_equal(again, expected)
            assert still is seen


@settings(max_examples=60)
@given(
    chunks=st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True), taken=st.integers(1, 5),
    width=st.integers(1, 40), by_zarr=st.booleans(), joined_chunks=st.integers(1, 12), joined_bytes=st.integers(1, 999),
)  # fmt: skip
def test_any_chunks_and_any_first_rows_of_them_are_read_in_any_runs(
    chunks, taken, width, by_zarr, joined_chunks, joined_bytes
):
    array = _array(rows=58, chunk=5, chunks=12, width=width, dtype="uint16")  # the last of them has three rows
    values = _values(58, width, "uint16")
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("cache_kd.store.object_reader.JOINED_CHUNKS", joined_chunks)
        patch.setattr("cache_kd.store.object_reader.JOINED_BYTES", joined_bytes)
        _written(Path(name), array, values, by_zarr=by_zarr)
        file = Path(name) / array.file(0, 0, 0)
        _, seen = _read(file, array, 58)
        cuts = {chunk: slice(5 * chunk, min(5 * chunk + taken, 58)) for chunk in chunks}
        into = {chunk: np.full_like(values[cut], 9) for chunk, cut in cuts.items()}
        read_chunks(file, form_of(array), into, filled=values.nbytes, sha256=lambda: "not asked for", seen=seen)
        for chunk, cut in cuts.items():
            assert np.array_equal(into[chunk], values[cut])


@pytest.fixture(params=["float32", "uint8"])
def array(request):
    return _array(rows=ROWS, chunk=CHUNK, chunks=CHUNKS, width=WIDTH, dtype=request.param)


@pytest.fixture
def file(array, tmp_path):
    _written(tmp_path, array, _values(ROWS, WIDTH, array.dtype))
    return tmp_path / array.file(0, 0, 0)


def _replaced(file, content):
    """The file with other content: as a new file, so that its inode tells."""
    other = file.with_suffix(".new")
    other.write_bytes(content)
    other.replace(file)


def test_a_flip_of_any_byte_is_seen_by_the_record(array, file):
    content, sha256 = file.read_bytes(), hashlib.sha256(file.read_bytes()).hexdigest()
    _, seen = _read(file, array, ROWS)
    for place in range(len(content)):
        _replaced(file, content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        for known in (None, seen):
            with pytest.raises(Unsound, match="sha256"):
                _read(file, array, ROWS, sha256=sha256, seen=known)


def _between_chunks(array, size):
    """The places of a file on which nothing depends."""
    form = form_of(array)
    return {place for place in range(size - form.index_bytes) if place % form.stride >= form.stored_bytes}


def test_a_flip_of_any_byte_that_the_record_vouches_for_is_seen_by_a_checksum_inside(array, file):
    content = file.read_bytes()
    expected, _ = _read(file, array, ROWS)
    between = _between_chunks(array, len(content))
    assert 0 < len(between) < len(content) / 2
    for place in range(len(content)):
        _replaced(file, content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        if place in between:
            assert np.array_equal(_read(file, array, ROWS)[0], expected)
        else:
            with pytest.raises(Unsound, match="checksum does not hold"):
                _read(file, array, ROWS)


def test_a_flip_that_leaves_size_and_times_as_they_were_is_seen_by_the_chunk(array, file):
    content = file.read_bytes()
    expected, seen = _read(file, array, ROWS)
    index = form_of(array).index_bytes
    between = _between_chunks(array, len(content))
    for place in range(len(content)):
        _replaced(file, content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        now = signature_of(file.stat())
        if place < len(content) - index and place not in between:
            with pytest.raises(Unsound, match="checksum does not hold"):
                _read(file, array, ROWS, seen=Seen(now, seen.offsets))
        else:
            assert np.array_equal(_read(file, array, ROWS, seen=Seen(now, seen.offsets))[0], expected)


def test_a_file_cut_short_anywhere_is_never_read(array, file):
    content, sha256 = file.read_bytes(), hashlib.sha256(file.read_bytes()).hexdigest()
    _, seen = _read(file, array, ROWS)
    for length in [*range(len(content)), len(content) + 1]:
        _replaced(file, (content + b"\0")[:length])
        for written in (sha256, None):  # None: even where the record vouches for it
            with pytest.raises(Unsound):
                _read(file, array, ROWS, sha256=written, seen=seen)


def test_a_file_that_shrinks_while_it_is_read_is_never_read(array, file):
    content = file.read_bytes()
    _, seen = _read(file, array, ROWS)
    file.write_bytes(content[:20])
    now = signature_of(file.stat())
    with pytest.raises(Unsound, match="ends at byte 20"):
        _read(file, array, ROWS, seen=Seen(now, seen.offsets))


def test_a_file_of_the_same_size_in_the_place_of_another_is_compared_again(array, file):
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    expected, seen = _read(file, array, ROWS)
    again = file.read_bytes()
    _replaced(file, again)
    rows, anew = _read(file, array, ROWS, seen=seen, sha256=sha256)
    assert np.array_equal(rows, expected)
    assert anew.signature != seen.signature
    _written(file.parents[4], array, expected + 1)
    with pytest.raises(Unsound, match="sha256"):
        _read(file, array, ROWS, seen=anew, sha256=sha256)


def test_bytes_changed_in_place_are_compared_again_though_their_time_is_set_back(array, file):
    sha256, state = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat()
    _, seen = _read(file, array, ROWS)
    content = bytearray(file.read_bytes())
    content[:CHUNK], content[CHUNK : 2 * CHUNK] = content[CHUNK : 2 * CHUNK], content[:CHUNK]
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(Unsound, match="sha256"):
        _read(file, array, ROWS, seen=seen, sha256=sha256)


def test_rows_that_were_never_written_are_not_read(tmp_path):
    array = _array(rows=12, chunk=4, chunks=3, width=2, dtype="uint8")
    file = tmp_path / array.file(0, 0, 0)
    file.parent.mkdir(parents=True)
    write_object(file, array, np.full((4, 2), 7))
    assert (_read(file, array, 4)[0] == 7).all()
    with pytest.raises(Unsound, match="never written"):
        _read(file, array, 12)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nan_in_any_row_is_an_error_but_not_in_the_padding_and_infinity_is_none(tmp_path, dtype):
    array = _array(rows=6, chunk=4, chunks=2, width=2, dtype=dtype)
    values = _values(6, 2, dtype)
    values[2, 1] = np.inf
    _written(tmp_path / "good", array, values)
    assert np.array_equal(_read(tmp_path / "good" / array.file(0, 0, 0), array, 6)[0], values)
    for row in range(6):
        bad = values.copy()
        bad[row, 1] = np.nan
        _written(tmp_path / str(row), array, bad)
        with pytest.raises(Unsound, match="never written"):
            _read(tmp_path / str(row) / array.file(0, 0, 0), array, 6)
