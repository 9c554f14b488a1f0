"""A dump that finds another one at work on its store waits for it, and shows how far it is."""

import time
from collections.abc import Callable
from pathlib import Path

from cache_kd.errors import StoreBusy
from cache_kd.progress import Progress
from cache_kd.store.locks import is_being_written
from cache_kd.store.manifest import Manifest
from cache_kd.store.record import is_recorded, pieces
from cache_kd.store.writer import Writer

LOOKS = 0.5  # seconds between two looks at what the other has written; 1,000 shards cost 3 ms


def writer_in_turn(
    path: Path, manifest: Manifest, *, admit: Callable[[Manifest], None], wait: bool, progress: Progress
) -> Writer:
    """The writer of a store as `Writer.create_or_resume` gives it, once no other process writes there.

    The store is then finished, or goes on where the other one was: each shard is written once.

    Args:
        path: of the store.
        manifest: of what is asked for.
        admit: see `Writer.create_or_resume`.
        wait: False to refuse at once.
        progress: who watches meanwhile.

    Raises:
        StoreBusy: another process writes to the store, and it was not to be waited for.
        StoreError: see `Writer.create_or_resume`.
    """
    while True:
        try:
            return Writer.create_or_resume(path, manifest, admit=admit)
        except StoreBusy:
            if not wait:
                raise
        _watch(path, manifest, progress)


def _watch(path: Path, manifest: Manifest, progress: Progress) -> None:
    progress.say(f"Another dump is writing to {path}: waiting for it, to go on where it ends (--no-wait stops here).")
    wanted = list(pieces(manifest))
    done = 0
    with progress.task("waiting", len(wanted), "files") as advance:
        while is_being_written(path):
            now = sum(is_recorded(path, piece) for piece in wanted)
            advance(now - done)
            done = now
            time.sleep(LOOKS)
