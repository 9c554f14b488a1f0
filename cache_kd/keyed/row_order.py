"""The order in which the samples of a part stand in a store: mixed, so that any run of rows holds all classes."""

from cache_kd.keyed.feistel import place_of, row_at
from cache_kd.types import Samples

PURPOSE = "rows of a store"


def samples_at(seed: int, rows: Samples, samples: int) -> Samples:
    """The samples that stand in `rows`, 0 <= row < `samples`, of a store whose views have `seed`."""
    return row_at(seed, PURPOSE, rows, samples)


def rows_of(seed: int, chosen: Samples, samples: int) -> Samples:
    """The rows in which the `chosen` of all `samples` stand: the inverse of `samples_at`."""
    return place_of(seed, PURPOSE, chosen, samples)
