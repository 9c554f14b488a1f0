"""The proof that a student sees the pictures that the teacher saw: digests of pixels, compared row by row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from cache_kd.errors import PixelMismatch
from cache_kd.types import Digests, Rows, Samples, ViewTensor
from cache_kd.views import digests, words

Check = Literal["all", "sample", "off"]

# one row in 64: at 32x32 it costs 0.2 % of the feed, and a wrong recipe is met within the first batches
ONE_IN = 64

# of an environment: what makes logits or files, and never pixels
NOT_OF_PIXELS = ("device", "device_name", "threads", "zarr")


@dataclass(frozen=True, kw_only=True)
class PixelProof:
    """Compares rendered views with the digests that the dump stored.

    Args:
        stored: the digests of one view, of every sample.
        seed: of the store; it picks the rows of the sample.
        check: every row, a keyed 1/64 of them (and the first batch whole), or none.
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
        """Compare the rows that are due; of pixels on another device only these are copied.

        Raises:
            PixelMismatch: names the first row that differs, its view, and what differs between the two machines.
        """
        if self.check == "off":
            return
        due = self._due(samples, view)
        if not len(due):
            return
        expected = self.stored(view)[samples[due]]
        # all in order are no copy
        rows = pixels if len(due) == len(samples) else pixels[torch.from_numpy(due).to(pixels.device)]
        found = digests(rows.cpu().numpy())
        wrong = np.flatnonzero(expected != found)
        if len(wrong):
            row = wrong[0]
            raise PixelMismatch(
                f"Sample {samples[due[row]]}, view {view}: the pixels here have crc32 {found[row]:08x}, "
                f"the teacher saw {expected[row]:08x} ({len(wrong)} of {len(due)} checked rows differ). "
                f"{self._difference()}"
            )

    def _due(self, samples: Samples, view: int) -> Rows:
        if self.check == "all" or not self._begun:
            self._begun.append(True)
            return np.arange(len(samples))
        picked: Rows = np.flatnonzero(words(self.seed, "proof", samples, view, 1)[:, 0] % ONE_IN == 0)
        return picked

    def _difference(self) -> str:
        changed = changes(self.stored_environment, self.environment)
        cause = (
            f"Changed since the dump: {'; '.join(changed)}. Install the versions of the dump"
            if changed
            else ("The libraries are the same, so the recipe's code or the images changed; use the release that dumped")
        )
        return f"{cause}, or dump again. Training on other pixels than the teacher's is what this check prevents."


def changes(stored: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What of an environment may have changed pixels, with both values.

    >>> changes({"pillow": "12.3", "threads": "8"}, {"pillow": "13.0", "threads": "2"})
    ['pillow 12.3 there, 13.0 here']
    """
    return [
        f"{name} {stored[name]} there, {value} here"
        for name, value in here.items()
        if name not in NOT_OF_PIXELS and stored.get(name, value) != value
    ]
