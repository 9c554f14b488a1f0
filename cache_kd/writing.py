"""Shards on their way into a store: encoded where the logits are, written by a thread while the teacher goes on."""

from collections.abc import Iterable

from cache_kd.asking import TaughtShard
from cache_kd.behind import behind
from cache_kd.store.writer import Writer


def write_taught(writer: Writer, taught: Iterable[TaughtShard]) -> None:
    """Write all shards of `taught`; when this returns they are on the disk and recorded.

    Raises:
        ModelError: a logit that the codec cannot keep; names its sample and class.
        StoreError: the disk is full or cannot be written to.
        KdCacheError: what makes `taught` fails; shards before that are kept.
    """
    with behind(writer.write_encoded) as write:
        for shard in taught:
            write(writer.encode(*shard))
