"""One whole view in memory, as narrow as it was stored: any samples, in any order."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache_kd.store.arrays import logit_arrays
from cache_kd.store.checked import CheckedFiles
from cache_kd.store.codec import Codec
from cache_kd.store.encoded import EncodedRows
from cache_kd.store.memory import page_aligned
from cache_kd.store.row_order import RowOrder
from cache_kd.types import LogitArray, Samples

# Reading and hashing release the interpreter's lock; four threads keep a disk busy.
THREADS = 4


@dataclass(frozen=True)
class StoredView:
    """All encoded rows of one view."""

    codec: Codec
    arrays: Mapping[str, NDArray[Any]]  # name -> [rows, width]
    classes: int
    order: RowOrder

    @classmethod
    def read(cls, files: CheckedFiles, codec: Codec, part: str, view: int) -> "StoredView":
        """Read view number `view` of `part` shard by shard, several at a time.

        Raises:
            StoreIncomplete: the view is not all written yet.
            StoreDamaged: a file is not what was written; the first of them.
        """
        manifest = files.manifest
        arrays = {
            name: page_aligned(array.shape[1:], array.dtype) for name, array in logit_arrays(manifest, part).items()
        }
        with ThreadPoolExecutor(THREADS, thread_name_prefix="kdcache-read") as threads:
            for _ in threads.map(
                lambda shard: files.read_shard(
                    shard, {name: rows[shard.start : shard.stop] for name, rows in arrays.items()}
                ),
                manifest.parts[part].layout.shards_of(part, view),
            ):
                pass
        return cls(codec, arrays, manifest.classes, manifest.row_order(part))

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(array.nbytes for array in self.arrays.values())

    def encoded(self, samples: Samples) -> dict[str, NDArray[Any]]:
        """The encoded rows of any `samples`, in their order: a new array for each of the codec's."""
        rows = self.order.row_of_sample[samples]
        return {name: np.take(array, rows, axis=0) for name, array in self.arrays.items()}

    def rows(self, samples: Samples) -> LogitArray:
        """The logits float32 [batch, classes] of any `samples`, in their order."""
        return EncodedRows.of(self.codec, [self.encoded(samples)], self.classes).logits().numpy()
