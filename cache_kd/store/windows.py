"""Which chunks are held together, one window of them after another, and which rows are in them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cache_kd.types import Samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """All rows of a part, cut into runs of chunks.

    Attributes:
        chunks: all chunks in the order in which they are read.
        window: how many of them are held together; the last window may have fewer.
        chunk_rows: rows in a chunk, but for the one with the highest number, which may be short.
    """

    chunks: Samples
    window: int
    chunk_rows: int

    def __len__(self) -> int:
        """Number of windows."""
        return -(-len(self.chunks) // self.window)

    def of_rows(self, rows: Samples) -> Samples:
        """The number of the window in which each row is."""
        windows: Samples = self._place_of_chunk[rows // self.chunk_rows] // self.window
        return windows

    def rows(self, number: int) -> Samples:
        """All rows of one window, some beyond the end of a part whose last chunk is short."""
        chunks = np.sort(self.chunks[number * self.window : (number + 1) * self.window])
        whole = chunks[:, None] * self.chunk_rows + np.arange(self.chunk_rows)
        rows: Samples = whole.reshape(-1)
        return rows

    @cached_property
    def _place_of_chunk(self) -> Samples:
        places = np.empty_like(self.chunks)
        places[self.chunks] = np.arange(len(self.chunks))
        return places
