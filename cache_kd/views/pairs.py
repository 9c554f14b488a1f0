"""Who is mixed with whom in a view: neighbours in a keyed order of all rows."""

from dataclasses import dataclass

import numpy as np

from cache_kd.types import Samples
from cache_kd.views.feistel import place_of, row_at

PURPOSE = "pairs"


@dataclass(frozen=True, kw_only=True)
class PairOrder:
    """A keyed order of the rows of one view; places 2k and 2k + 1 hold partners, each of the other.

    Where the number of rows is odd, the last place takes the row before it as its partner, which has its own. Every
    answer is computed from the key; there is no table.

    Args:
        seed: of the views.
        view: its number; each view has other pairs.
        rows: how many there are.
        within: partners lie in the same run of this many consecutive rows, an even number; 0 for anywhere.
    """

    seed: int
    view: int
    rows: int
    within: int = 0

    def row_at(self, places: Samples) -> Samples:
        """The rows that stand at `places`; a run of rows stands at the places of the same numbers."""
        run, length = self._run_of(places)
        start = run * self._run
        rows: Samples = start + row_at(self.seed, PURPOSE, places - start, length, epoch=self.view, stream=run)
        return rows

    def place_of(self, rows: Samples) -> Samples:
        """The places at which `rows` stand."""
        run, length = self._run_of(rows)
        start = run * self._run
        places: Samples = start + place_of(self.seed, PURPOSE, rows - start, length, epoch=self.view, stream=run)
        return places

    def partner(self, rows: Samples) -> Samples:
        """The row that each of `rows` is mixed with; a row that is alone in its run is its own partner."""
        places = self.place_of(rows)
        run, length = self._run_of(rows)
        other = places ^ 1
        alone_at_the_end = other >= run * self._run + length
        return self.row_at(np.where(alone_at_the_end, np.maximum(places - 1, run * self._run), other))

    @property
    def _run(self) -> int:
        return self.within or self.rows

    def _run_of(self, rows: Samples) -> tuple[Samples, Samples]:
        """Number and length of the run that each row, or place, belongs to."""
        run: Samples = rows // self._run
        return run, np.minimum(self.rows - run * self._run, self._run)
