"""Requests to a bucket, several at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from cache_kd.progress import Advance

THREADS = 8  # whole shards in flight; 4 and 8 gave 0.24 and 0.47 million rows/s at 20 ms and 90 MB/s a connection

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def in_parallel(
    work: Callable[[Item], Outcome], items: Iterable[Item], advance: Advance = lambda done: None
) -> list[Outcome]:
    """`work` of each item, in their order; the first error ends it, and what was not begun is not done."""
    pool = ThreadPoolExecutor(THREADS)
    try:
        futures = [pool.submit(work, item) for item in items]
        for future in as_completed(futures):
            future.result()
            advance(1)
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)
