"""Which sample stands in which row of a part, as tables that a reader and a writer look into."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from cache_kd.keyed.row_order import samples_at
from cache_kd.types import Samples

# keyed: row r holds sample `keyed.row_order.samples_at(seed, r, samples)`. Chunks of a data set that is sorted by
# class hold one class each; batches of 512 from a window of 32 such chunks saw 73 of 1,000 classes, of keyed ones 401.
# by_sample: row r holds sample r.
RowOrderKind = Literal["keyed", "by_sample"]


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """The order of one part's rows; every view has the same.

    Attributes:
        kind: see `RowOrderKind`.
        seed: of the store's views.
        samples: of the part.
    """

    kind: RowOrderKind
    seed: int
    samples: int

    @property
    def sample_of_row(self) -> Samples:
        """The sample in each row, [samples]; one million take 0.2 s the first time."""
        return _tables(self)[0]

    @property
    def row_of_sample(self) -> Samples:
        """The row of each sample, [samples]."""
        return _tables(self)[1]


@lru_cache(maxsize=8)
def _tables(order: RowOrder) -> tuple[Samples, Samples]:
    rows = np.arange(order.samples, dtype=np.int64)
    if order.kind == "by_sample":
        return rows, rows
    samples = samples_at(order.seed, rows, order.samples)
    inverse = np.empty_like(samples)
    inverse[samples] = rows
    for table in (samples, inverse):
        table.setflags(write=False)
    return samples, inverse
