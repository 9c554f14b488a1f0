"""How the rows of a part are cut into chunks and shards: pure arithmetic on counts."""

from dataclasses import dataclass

# Chunks of 0.5 to 1 MiB: 512 rows of 1,000 logits of one byte or two. Smaller ones pay 65 us each in zarr.
CHUNK_BYTES = 2**20
LEAST_CHUNK_ROWS, MOST_CHUNK_ROWS = 16, 4096

# Shards of up to 32 MiB: a view of ImageNet is then below 200 files. Beyond, readers whose memory is fresh pay for page
# faults, and what a dump loses when it is interrupted grows.
CHUNKS_PER_SHARD = 32

# A small store still has four shards of four chunks, so that resuming and progress mean something.
LEAST_SHARDS = 4
LEAST_CHUNKS = 16


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A run of rows of one view: what is written, resumed and checked as one."""

    part: str
    view: int
    index: int  # within its view
    start: int  # first row
    stop: int  # one past the last row

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def __str__(self) -> str:
        """`train view 0, rows 512 to 1023`."""
        return f"{self.part} view {self.view}, rows {self.start} to {self.stop - 1}"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Rows per chunk and per shard of `views` x `samples` rows; it knows no batch size, worker or rank."""

    samples: int
    views: int
    chunk_rows: int
    shard_rows: int  # a multiple of chunk_rows

    @property
    def shards_per_view(self) -> int:
        """The last one may be short."""
        return -(-self.samples // self.shard_rows)

    def shards(self, part: str) -> list[Shard]:
        """All shards in the order of writing: view by view, then by row."""
        return [shard for view in range(self.views) for shard in self.shards_of(part, view)]

    def shards_of(self, part: str, view: int) -> list[Shard]:
        """The shards of one view, by row."""
        return [
            Shard(part=part, view=view, index=index, start=start, stop=min(start + self.shard_rows, self.samples))
            for index, start in enumerate(range(0, self.samples, self.shard_rows))
        ]


def choose_layout(samples: int, *, views: int, row_bytes: int) -> Layout:
    """The layout of a new part; a function of counts only, so two dumps of the same rows agree.

    Args:
        samples: rows per view, >= 1.
        views: >= 1; has no influence on the cut.
        row_bytes: what a row takes in the widest array of the codec, >= 1.

    >>> choose_layout(1_281_167, views=8, row_bytes=1000)
    Layout(samples=1281167, views=8, chunk_rows=1024, shard_rows=30720)
    >>> choose_layout(50_000, views=4, row_bytes=200)
    Layout(samples=50000, views=4, chunk_rows=2048, shard_rows=10240)
    """
    fitting = min(CHUNK_BYTES // row_bytes, samples // LEAST_CHUNKS)
    chunk_rows = min(max(_power_of_two(fitting), LEAST_CHUNK_ROWS), MOST_CHUNK_ROWS)
    chunks = -(-samples // chunk_rows)
    return Layout(
        samples=samples,
        views=views,
        chunk_rows=chunk_rows,
        shard_rows=chunk_rows * _chunks_per_shard(chunks),
    )


def _power_of_two(number: int) -> int:
    """The largest one up to `number`; 0 below one."""
    return 1 << (number.bit_length() - 1) if number > 0 else 0


def _chunks_per_shard(chunks: int) -> int:
    """As few shards as the limits allow, or up to four more where that leaves less padding in the last one."""
    fewest = max(-(-chunks // CHUNKS_PER_SHARD), min(LEAST_SHARDS, chunks))
    counts = range(fewest, fewest + LEAST_SHARDS + 1)
    sizes = {-(-chunks // count) for count in counts}
    fitting = [size for size in sizes if -(-chunks // size) >= fewest]
    return min(fitting, key=lambda size: (-chunks % size, -size))
