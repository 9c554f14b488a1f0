"""A few threads for work that releases the interpreter's lock, such as decoding and resizing pictures."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores that this process may use: on a shared machine fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


THREADS = min(8, usable_cores())


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of each item, in order; the number of threads changes no result.

    In a worker process everything happens in the calling thread: there the processes share the cores already.

    Raises:
        Exception: the first one, in the order of the items.
    """
    todo = list(items)
    if THREADS == 1 or len(todo) < 2 or _in_a_worker():
        return [function(item) for item in todo]
    return list(_pool(THREADS).map(function, todo))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Kept for the life of the process: starting eight threads costs 0.5 ms, a small batch not much more."""
    return ThreadPoolExecutor(threads, thread_name_prefix="kdcache-pictures")


def _in_a_worker() -> bool:
    from torch.utils.data import get_worker_info

    return get_worker_info() is not None
