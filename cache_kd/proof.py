"""The proof that a student sees the pictures that the teacher saw: digests of pixels, compared row by row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from cache_kd.environment import changes
from cache_kd.errors import PixelMismatch
from cache_kd.keyed.philox import words
from cache_kd.types import Digests, Samples, ViewTensor
from cache_kd.views import all_match, digests

Check = Literal["all", "sample", "off"]

# One batch in 64, whole: picking one row in 64 of every batch finds as many wrong rows, costs ten times as much at
# 32x32 (2 % of the feed, not 0.2 %), and would ask about the same rows in every epoch and every run.
ONE_IN = 64


@dataclass(frozen=True, kw_only=True)
class PixelProof:
    """Compares rendered views with the digests that the dump stored.

    Args:
        stored: the digests of one view, of every sample.
        seed: of the store; it picks the batches of the sample.
        check: every row; the first batch and a keyed 1/64 of the others; or none.
        stored_environment: library versions of the dump.
        environment: library versions here; named in the error where they differ.
    """

    stored: Callable[[int], Digests]
    seed: int
    check: Check
    stored_environment: Mapping[str, str]
    environment: Mapping[str, str]
    _begun: list[bool] = field(default_factory=list)

    def __call__(self, pixels: ViewTensor, samples: Samples, view: int) -> None:
        """Compare the rows of a batch if it is due; only then is one on another device copied.

        Raises:
            PixelMismatch: names the first row that differs, its view, and what differs between the two machines.
        """
        if not self._is_due(samples, view):
            return
        rows, expected = pixels.cpu().numpy(), self.stored(view)[samples]
        if all_match(rows, expected):
            return
        found = digests(rows)
        wrong = np.flatnonzero(expected != found)
        first = wrong[0]
        raise PixelMismatch(
            f"Sample {samples[first]}, view {view}: the pixels here have crc32 {found[first]:08x}, "
            f"the teacher saw {expected[first]:08x} ({len(wrong)} of {len(rows)} checked rows differ). "
            f"{self._difference()}"
        )

    def _is_due(self, samples: Samples, view: int) -> bool:
        """Whether a batch is compared, by its first sample: a resumed run asks about the very same batches.

        References: Dietzfelbinger et al., A Reliable Randomized Algorithm for the Closest-Pair Problem, 1997.
        """
        if self.check == "off" or not len(samples):
            return False
        if self.check == "all" or not self._begun:
            self._begun.append(True)
            return True
        of_sample, of_view = self._multipliers
        return (int(samples[0]) * of_sample + view * of_view) % 2**64 < 2**64 // ONE_IN

    @cached_property
    def _multipliers(self) -> tuple[int, int]:
        """Odd, keyed, 64 bits: a product in plain Python takes a microsecond, a Philox word a hundred."""
        drawn = words(self.seed, "proof", np.arange(2), 0, 2).astype(np.uint64)
        of_sample, of_view = (drawn[:, 0] << 32 | drawn[:, 1] | 1).tolist()
        return of_sample, of_view

    def _difference(self) -> str:
        changed = changes(self.stored_environment, self.environment)
        cause = (
            f"Changed since the dump: {'; '.join(changed)}. Install the versions of the dump"
            if changed
            else ("The libraries are the same, so the recipe's code or the images changed; use the release that dumped")
        )
        return f"{cause}, or dump again. Training on other pixels than the teacher's is what this check prevents."
