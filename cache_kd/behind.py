"""Work done behind the back of whoever hands it on, in its order, so that he does not wait."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def behind(work: Callable[[Item], None], depth: int = 2) -> Iterator[Callable[[Item], None]]:
    """A function that hands items to one thread, which does `work` on each; on leaving, all of them are done.

    Up to `depth` items wait, then handing on waits too. An error of the thread is raised from the next call, or on
    leaving; no work is begun after it. Where the block itself fails, what was handed on is still done.
    """
    waiting: queue.Queue[tuple[Item] | None] = queue.Queue(maxsize=depth)
    errors: list[BaseException] = []

    def run() -> None:
        while (entry := waiting.get()) is not None:
            if errors:
                continue
            try:
                work(*entry)
            except BaseException as error:
                errors.append(error)

    def hand_on(item: Item) -> None:
        if errors:
            raise errors[0]
        waiting.put((item,))

    thread = threading.Thread(target=run, name="kdcache-behind", daemon=True)
    thread.start()
    try:
        yield hand_on
    finally:
        waiting.put(None)
        thread.join()
    if errors:
        raise errors[0]
