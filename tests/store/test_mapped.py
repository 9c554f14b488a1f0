"""Bytes of a file in the page cache: those that are there, and those that were a moment ago."""

import mmap

import pytest

from cache_kd.store.mapped import can_map, mapped

SIZE = 3 * mmap.PAGESIZE + 100

pytestmark = pytest.mark.skipif(not can_map(), reason="this kernel has no MADV_POPULATE_READ")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(number % 251 for number in range(SIZE)))
    with path.open("r+b", buffering=0) as opened:
        yield opened


@pytest.mark.parametrize(("start", "count"), [(0, 1), (5, mmap.PAGESIZE), (mmap.PAGESIZE - 1, 2), (SIZE - 1, 1)])
def test_any_bytes_of_a_file_can_be_fetched(file, start, count):
    with mapped(file.fileno(), SIZE) as content:
        assert len(content) == SIZE
        found = content.fetch(start, count)[start : start + count]
    assert found == bytes(number % 251 for number in range(start, start + count))


def test_bytes_that_are_cut_off_under_a_mapping_are_an_error_and_no_signal(file):
    with mapped(file.fileno(), SIZE) as content:
        file.truncate(mmap.PAGESIZE)
        content.fetch(0, mmap.PAGESIZE)
        with pytest.raises(OSError, match="Bad address"):
            content.fetch(mmap.PAGESIZE, 1)


def test_a_file_that_is_shorter_than_it_was_said_to_be_is_an_error(file):
    file.truncate(0)
    with pytest.raises(OSError, match="mmap length"), mapped(file.fileno(), SIZE):
        pass
