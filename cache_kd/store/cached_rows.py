"""The train rows of a store for one epoch after another: whole views, as many as fit the memory, or windows of them."""

from collections.abc import Callable

from cache_kd.store.encoded import EncodedRows
from cache_kd.store.reader import Reader
from cache_kd.store.stored_view import StoredView
from cache_kd.store.windowed_view import WindowedView
from cache_kd.store.windows import Windows
from cache_kd.types import BatchOfSamples

RowsOfSamples = Callable[[BatchOfSamples], EncodedRows]


class CachedRows:
    """Opens views for an epoch, and keeps whole ones for the next.

    Args:
        reader: of the store.
        memory: bytes of whole views that are kept; the views of one epoch are held whatever they take.
    """

    def __init__(self, reader: Reader, memory: int) -> None:
        self._reader, self._memory = reader, memory
        self._kept: dict[int, StoredView] = {}

    def __call__(self, views: tuple[int, ...], windows: Windows | None) -> RowsOfSamples:
        """What gives the encoded rows of any samples: in all of `views`, one view after another.

        Args:
            views: of the part `train`.
            windows: those in which an epoch's samples come; None holds whole views.

        Raises:
            StoreIncomplete: a view is not all written; here, or at its batch where there are windows.
            StoreDamaged: a file is not what was written; likewise.
        """
        opened = self._whole(views) if windows is None else self._windowed(views, windows)
        codec, classes = self._reader.codec, self._reader.manifest.classes
        return lambda samples: EncodedRows.of(codec, [view.encoded(samples) for view in opened], classes)

    def _windowed(self, views: tuple[int, ...], windows: Windows) -> list[StoredView | WindowedView]:
        self._kept.clear()
        return [self._reader.windowed("train", view, windows) for view in views]

    def _whole(self, views: tuple[int, ...]) -> list[StoredView | WindowedView]:
        for view in views:
            if view not in self._kept:
                self._make_room(views)
                self._kept[view] = self._reader.view("train", view)
        return [self._kept[view] for view in views]

    def _make_room(self, views: tuple[int, ...]) -> None:
        """Give up views until one more fits, those that were read last first: in a cycle they come back last."""
        samples = self._reader.manifest.parts["train"].samples
        view_bytes = samples * self._reader.codec.bytes_per_row(self._reader.manifest.classes)
        for view in [view for view in reversed(self._kept) if view not in views]:
            if (len(self._kept) + 1) * view_bytes <= self._memory:
                return
            del self._kept[view]
