"""The recorded knobs of a store, for the recipe that reads them: some rows of a view at a time."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cache_kd.errors import StoreDamaged
from cache_kd.store.arrays import knob_array
from cache_kd.store.manifest import Manifest
from cache_kd.store.record import Piece, find_fault, knob_piece
from cache_kd.store.signature import Signature, signature_of
from cache_kd.types import KnobRows, Samples


@dataclass(frozen=True)
class StoredKnobs:
    """Nothing is open between calls and no view is kept in memory, so that worker processes may copy it.

    Attributes:
        path: of the store.
        manifest: as stored; its views may still be about to be written.
    """

    path: Path
    manifest: Manifest
    _checked: dict[int, Signature] = field(default_factory=dict, repr=False, compare=False)

    def rows(self, view: int, samples: Samples) -> KnobRows:
        """The knobs of some samples in one view, float32 [batch, knobs].

        All of the view is checked the first time, and again when its file has changed. That takes 24 ms for
        1.28 million samples of five knobs, in each process.

        Raises:
            StoreDamaged: they are not the ones that were written, or cannot be read.
        """
        array = knob_array(self.manifest)
        if array is None:
            raise StoreDamaged(f"{self.path} has a recipe that reads knobs, and keeps none. Import its logits again.")
        piece = knob_piece(self.manifest, view)
        file = self.path / piece.files[0]
        try:
            with file.open("rb") as opened:
                signature = signature_of(os.fstat(opened.fileno()))
                if self._checked.get(view) != signature:
                    if fault := find_fault(self.path, self.manifest.store_id, piece, deep=True):
                        raise self._damaged(piece, fault)
                    self._checked[view] = signature
                # behind the numbers stands the chunk's own checksum
                table = np.memmap(opened, dtype="<f4", mode="r", shape=array.shape[1:])
        except (OSError, ValueError) as fault:  # it is gone, or was cut short since it was checked
            raise self._damaged(piece, f"{file} cannot be read ({fault})") from None
        return np.asarray(table[samples])

    def _damaged(self, piece: Piece, fault: str) -> StoreDamaged:
        return StoreDamaged(
            f"{piece.title}: {fault}. Only the files that were imported have them: import them again to "
            f"another --store, or after `kdcache rm {self.path}`."
        )
