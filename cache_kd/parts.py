"""How a batch is cut: into parts that are computed one after the other, each of which the ranks share."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a batch: the same samples whatever the number of ranks."""

    spans: tuple[tuple[int, int], ...]  # of each rank, in the whole batch
    starts: tuple[int, ...]  # of each rank, among all that it has of the batch
    owned: tuple[int, ...]  # samples that each rank has of the batch
    last: bool

    @property
    def sizes(self) -> list[int]:
        """Samples of each rank."""
        return [end - start for start, end in self.spans]

    @property
    def share(self) -> float:
        """Of the batch, 0 < share <= 1."""
        return sum(self.sizes) / sum(self.owned)

    def of(self, rank: int) -> "Cut":
        """What takes this part out of all that a rank has of the batch."""
        start = self.starts[rank]
        return Cut(start, start + self.sizes[rank], self.owned[rank])


@dataclass(frozen=True)
class Cut:
    """Takes the rows from `start` to `end` of each view, out of `samples`."""

    start: int
    end: int
    samples: int

    def __call__(self, rows: Tensor) -> Tensor:
        """Of rows [views x samples, ...], all of the first view first, those [views x (end - start), ...]."""
        if not self.samples:
            return rows[:0]  # one was rendered for its shape
        if self.end - self.start == self.samples:
            return rows
        return rows.view(-1, self.samples, *rows.shape[1:])[:, self.start : self.end].flatten(0, 1)


def parts_of(length: int, *, parts: int, ranks: int) -> list[Part]:
    """A batch of `length` samples in `parts` parts, fewer where there are not so many samples.

    >>> [part.spans for part in parts_of(9, parts=2, ranks=2)]
    [((0, 2), (2, 4)), ((4, 6), (6, 9))]
    """
    spans = [
        [(start + first, start + end_) for first, end_ in _pieces(end - start, ranks)]
        for start, end in _pieces(length, parts)
        if end > start
    ]
    of_ranks = [list(accumulate((end - start for start, end in own), initial=0)) for own in zip(*spans, strict=True)]
    return [
        Part(
            spans=tuple(each),
            starts=tuple(own[number] for own in of_ranks),
            owned=tuple(own[-1] for own in of_ranks),
            last=number == len(spans) - 1,
        )
        for number, each in enumerate(spans)
    ]


def _pieces(length: int, count: int) -> list[tuple[int, int]]:
    """Where each of `count` pieces begins and ends; their lengths differ by one at most."""
    return list(pairwise(length * piece // count for piece in range(count + 1)))
