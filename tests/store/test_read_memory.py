"""Memory that files are read into: where it begins, and that it is used again."""

import mmap
from threading import Thread

import numpy as np
import pytest

from cache_kd.store.memory import page_aligned, scratch


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 7), (1000, 1000)])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_an_array_begins_with_a_page_and_is_its_own(shape, dtype):
    one, other = page_aligned(shape, dtype), page_aligned(shape, dtype)
    assert one.shape == shape
    assert one.dtype == dtype
    assert one.flags.c_contiguous
    assert one.flags.writeable
    assert one.ctypes.data % mmap.PAGESIZE == 0 or not one.size
    assert not np.shares_memory(one, other)


def test_scratch_is_the_same_memory_until_more_is_asked_for_and_each_thread_has_its_own():
    first = scratch(1000)
    assert first.ctypes.data % mmap.PAGESIZE == 0
    assert np.shares_memory(scratch(10), first)
    assert len(scratch(len(first) + 1_000_000)) == len(first) + 1_000_000
    elsewhere = []
    thread = Thread(target=lambda: elsewhere.append(scratch(10)))
    thread.start()
    thread.join()
    assert not np.shares_memory(elsewhere[0], scratch(10))
