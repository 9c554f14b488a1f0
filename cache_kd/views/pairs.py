"""Who is mixed with whom in a view: neighbours in a keyed order of all samples."""

from dataclasses import dataclass

import numpy as np

from cache_kd.keyed.feistel import place_of, row_at
from cache_kd.keyed.row_order import rows_of, samples_at
from cache_kd.types import Samples

PURPOSE = "pairs"


@dataclass(frozen=True, kw_only=True)
class PairOrder:
    """A keyed order of the samples of one view; places 2k and 2k + 1 hold partners, each of the other.

    Where the number of samples is odd, the last place takes the one before it as its partner, which has its own. Every
    answer is computed from the key; there is no table.

    Args:
        seed: of the views.
        view: its number; each view has other pairs.
        samples: how many there are.
        within: partners lie in the same run of this many consecutive rows of a store, which holds samples in a keyed
            order (`keyed.row_order`): an even number; 0 for anywhere.
    """

    seed: int
    view: int
    samples: int
    within: int = 0

    def sample_at(self, places: Samples) -> Samples:
        """The samples that stand at `places`; a run of rows stands at the places of the same numbers."""
        run, length = self._run_of(places)
        start = run * self._run
        rows: Samples = start + row_at(self.seed, PURPOSE, places - start, length, epoch=self.view, stream=run)
        return samples_at(self.seed, rows, self.samples) if self.within else rows

    def place_of(self, samples: Samples) -> Samples:
        """The places at which `samples` stand."""
        rows = rows_of(self.seed, samples, self.samples) if self.within else samples
        run, length = self._run_of(rows)
        start = run * self._run
        places: Samples = start + place_of(self.seed, PURPOSE, rows - start, length, epoch=self.view, stream=run)
        return places

    def partner(self, samples: Samples) -> Samples:
        """The sample that each of `samples` is mixed with; one that is alone in its run is its own partner."""
        places = self.place_of(samples)
        run, length = self._run_of(places)
        other = places ^ 1
        alone_at_the_end = other >= run * self._run + length
        return self.sample_at(np.where(alone_at_the_end, np.maximum(places - 1, run * self._run), other))

    @property
    def _run(self) -> int:
        return self.within or self.samples

    def _run_of(self, rows: Samples) -> tuple[Samples, Samples]:
        """Number and length of the run that each row, or place, belongs to."""
        run: Samples = rows // self._run
        return run, np.minimum(self.samples - run * self._run, self._run)
