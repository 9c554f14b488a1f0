"""Rows of logits as a codec keeps them, on their way from a store to the device that decodes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache_kd.store.codec import Codec
from cache_kd.types import Logits


@dataclass(frozen=True, kw_only=True)
class EncodedRows:
    """Some rows of logits, not decoded yet.

    Attributes:
        codec: of their store.
        tensors: the codec's arrays [rows, width] by their names.
        classes: logits per row.
    """

    codec: Codec
    tensors: Mapping[str, Tensor]
    classes: int

    @classmethod
    def of(cls, codec: Codec, arrays: Sequence[Mapping[str, NDArray[Any]]], classes: int) -> "EncodedRows":
        """Rows that stand in `arrays`, one set of them after another."""
        joined = (
            arrays[0] if len(arrays) == 1 else {name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]}
        )
        return cls(codec=codec, tensors={n: torch.from_numpy(rows) for n, rows in joined.items()}, classes=classes)

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.tensors.values())))

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "EncodedRows":
        """The same rows on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "EncodedRows":
        """The same rows in page-locked memory, from which a GPU fetches while others work."""
        return self._each(Tensor.pin_memory)

    def logits(self) -> Logits:
        """The logits float32 [rows, classes], decoded where the rows are; the same bits on every device."""
        return self.codec.decode_tensors(self.tensors, self.classes)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "EncodedRows":
        tensors = {name: change(tensor) for name, tensor in self.tensors.items()}
        return EncodedRows(codec=self.codec, tensors=tensors, classes=self.classes)
