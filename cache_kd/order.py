"""The order of samples in an epoch: keyed, each batch found by itself, so that a run resumes without replay."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from cache_kd.config import Config
from cache_kd.errors import ConfigError
from cache_kd.keyed.feistel import permutation, row_at
from cache_kd.parts import parts_of
from cache_kd.store.row_order import RowOrder
from cache_kd.store.windows import Windows
from cache_kd.types import Samples
from cache_kd.views.pairs import PairOrder

# Of 1,000 classes, batches of 512 from windows of 32 chunks saw 401, as many as batches from all samples: the rows of
# a chunk are a keyed draw from all of them.
LEAST_WINDOW = 32

# in memory at once: the window that a batch ends, the one that it begins, and the next, which is being read
HELD_WINDOWS = 3


class OrderConfig(Config):
    """How far the samples of an epoch are shuffled.

    Attributes:
        window: chunks of a store that are held at once: chunks come in a keyed order, and rows are shuffled inside
            each run of this many of them, so that an epoch reads every chunk once. 0 shuffles all samples together,
            and holds whole views. None: 0 where they fit into `memory_gb`, else as many chunks as let three windows
            fit, 32 at the least. It depends on no machine, for it decides the order and so the numbers.
        memory_gb: of encoded logits, over all views and stores of a batch, in 10^9 bytes; a `window` that is given
            stands above it.
    """

    window: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    memory_gb: Annotated[float, Field(gt=0, le=1e9)] = 4.0

    @property
    def memory(self) -> int:
        """In bytes."""
        return round(self.memory_gb * 1e9)

    def window_of(self, *, samples: int, chunk_rows: int, sample_bytes: int) -> int:
        """The number of chunks that `window` says, or leaves to be found.

        Args:
            samples: of an epoch.
            chunk_rows: rows of a chunk of the store.
            sample_bytes: of the encoded logits of one sample, over all views and stores of a batch.

        Raises:
            ConfigError: the memory is too small for three windows of 32 chunks.
        """
        if self.window is not None:
            return self.window
        if samples * sample_bytes <= self.memory:
            return 0
        held_rows = HELD_WINDOWS * chunk_rows
        window = self.memory // (held_rows * sample_bytes)
        if window < LEAST_WINDOW:
            whole, least, each = samples * sample_bytes, LEAST_WINDOW * held_rows, held_rows * sample_bytes
            needed = _gigabytes(min(samples, least) * sample_bytes)
            raise ConfigError(
                f"order.memory_gb is {self.memory_gb:g}; the logits of a batch's views take {_gigabytes(whole)} GB, "
                f"{HELD_WINDOWS} windows of {LEAST_WINDOW} chunks {needed} GB. Set order.memory_gb to at least "
                f"{needed}, or order.window to fewer chunks, at {_gigabytes(each)} GB for each of them: batches then "
                "hold fewer classes."
            )
        return window


def _gigabytes(count: int) -> float:
    """Bytes in 10^9, to the next thousand above.

    >>> _gigabytes(96_000_000), _gigabytes(1)
    (0.096, 1e-06)
    """
    return -(-count // 1000) / 1e6


@dataclass(frozen=True, kw_only=True)
class EpochOrder:
    """Every sample once, cut into batches; the last one may be short.

    A pure function of its fields: a batch costs 0.6 us for each of its own samples (2 us with pairs in windows), and
    nothing for the batches before it.

    Args:
        samples: how many there are.
        batch_size: samples of a batch over all ranks.
        seed: of the order.
        epoch: each has another order.
        chunk_rows: rows that a store reads together; needed for a window only.
        rows: which sample stands in which row of the store, for windows; None where row i is sample i.
        window: see `OrderConfig`.
        pairs: keeps partners beside each other, so that they share a batch, and a rank where a rank's share of each
            part is an even number. The one of an odd number of samples that is left over comes last of all.
        rank: whose share of each batch is meant, 0 <= rank < world.
        world: ranks that share each batch; what they have of it differs by one sample for each part at most.
        parts: that each batch is computed in, one after the other; every rank has its share of each of them.

    Raises:
        ConfigError: the ranks cannot have equal parts, or partners lie in other chunks.
    """

    samples: int
    batch_size: int
    seed: int
    epoch: int
    chunk_rows: int = 0
    rows: RowOrder | None = None
    window: int = 0
    pairs: PairOrder | None = None
    rank: int = 0
    world: int = 1
    parts: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be ordered."""
        assert 0 <= self.rank < self.world
        assert self.chunk_rows or not self.window
        if self.batch_size % self.world:
            raise ConfigError(
                f"A batch of {self.batch_size} cannot be shared by {self.world} processes. "
                f"batch_size counts the samples of all of them: use a multiple of {self.world}."
            )
        if self.pairs and self.window and (not self.pairs.within or self.chunk_rows % self.pairs.within):
            raise ConfigError(
                f"A window of {self.window} chunks needs mixing partners from one chunk of {self.chunk_rows} rows; "
                f"the recipe pairs within {self.pairs.within or 'all'} rows. Dump with a recipe whose `within` divides "
                f"{self.chunk_rows}, or set order.window to 0."
            )

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self.samples // self.batch_size)

    @property
    def windows(self) -> Windows | None:
        """The chunks that are held together, for who reads them; None where all samples are shuffled together."""
        if not self.window:
            return None
        return Windows(chunks=self._chunks, window=self.window, chunk_rows=self.chunk_rows)

    def batches(self, first_step: int = 0) -> Iterator[Samples]:
        """This rank's share of every batch from `first_step` on."""
        for step in range(first_step, len(self)):
            yield self.batch(step)

    def batch(self, step: int) -> Samples:
        """This rank's share of one batch; the batch itself and its parts are the same for any number of ranks."""
        start = step * self.batch_size
        length = min(self.batch_size, self.samples - start)
        spans = [part.spans[self.rank] for part in parts_of(length, parts=self.parts, ranks=self.world)]
        return self._samples_at(start + np.concatenate([np.arange(*span) for span in spans]))

    def _samples_at(self, positions: Samples) -> Samples:
        block, side = np.divmod(positions, self._block)
        whole = block < self._blocks
        block[whole] = self._shuffled(block[whole])
        places = block * self._block + side
        if self.pairs:
            return self.pairs.sample_at(places)
        return self.rows.sample_of_row[places] if self.rows and self.window else places

    def _shuffled(self, positions: Samples) -> Samples:
        """The blocks that stand at some positions."""
        if not self.window:
            return row_at(self.seed, "epoch order", positions, self._blocks, epoch=self.epoch)
        length = self.window * self._chunk
        window = self._with_gap(positions) // length
        start = self._without_gap(window * length)
        end = self._without_gap(np.minimum((window + 1) * length, len(self._chunks) * self._chunk))
        inside = row_at(self.seed, "window", positions - start, end - start, epoch=self.epoch, stream=window)
        place, row = np.divmod(self._with_gap(start + inside), self._chunk)
        blocks: Samples = self._chunks[place] * self._chunk + row
        return blocks

    @property
    def _block(self) -> int:
        """Samples that stay beside each other."""
        return 2 if self.pairs else 1

    @property
    def _blocks(self) -> int:
        return self.samples // self._block

    @property
    def _chunk(self) -> int:
        """Blocks in a chunk, but for the last one, which may be short."""
        return self.chunk_rows // self._block

    @cached_property
    def _chunks(self) -> Samples:
        """All chunks in this epoch's order."""
        return permutation(self.seed, "chunks", -(-self.samples // self.chunk_rows), self.epoch)

    @cached_property
    def _gap(self) -> tuple[int, int]:
        """Where the last chunk ends if chunks in their order are laid side by side, and by how much it is short."""
        short = len(self._chunks) * self._chunk - self._blocks
        place = int(np.flatnonzero(self._chunks == len(self._chunks) - 1)[0])
        return (place + 1) * self._chunk - short, short

    def _with_gap(self, positions: Samples) -> Samples:
        """Positions as they were if the last chunk were not short."""
        start, length = self._gap
        return np.where(positions < start, positions, positions + length)

    def _without_gap(self, positions: Samples) -> Samples:
        """The way back, for the ends of chunks."""
        start, length = self._gap
        return np.where(positions <= start, positions, positions - length)
