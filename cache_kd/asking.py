"""A teacher asked shard by shard: pictures rendered ahead of it, logits checked, digests of the pixels beside them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cache_kd.errors import ModelError
from cache_kd.models.teacher import Teacher
from cache_kd.progress import Advance
from cache_kd.rendering import Rendered, Renderer, Request
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest
from cache_kd.types import Digests, Logits


class TaughtShard(NamedTuple):
    """What a writer takes."""

    shard: Shard
    logits: Logits
    digests: Digests


def ask(
    teacher: Teacher,
    renderer: Renderer,
    manifest: Manifest,
    shards: Sequence[Shard],
    *,
    batch_size: int,
    advance: Advance,
) -> Iterator[TaughtShard]:
    """The teacher's raw logits over the pictures of all `shards`, in their order.

    Batches begin with each shard, so a shard's logits depend on nothing but the shard and `batch_size`.

    Args:
        teacher: who is asked.
        renderer: of the parts that the shards are of.
        manifest: of the store, which says what samples a shard holds.
        shards: any of a store.
        batch_size: pictures per forward pass, >= 1.
        advance: told of every batch.

    Raises:
        ModelError: the teacher gives another number of logits, NaN or infinity.
        KdCacheError: a picture cannot be read or rendered.
    """
    rendered = rendered_shards(renderer, manifest, shards, batch_size)
    for shard in shards:
        logits, digests = _shard(shard, rendered, teacher, advance)
        _check_logits(logits, shard, manifest)
        yield TaughtShard(shard, logits, digests)


def rendered_shards(
    renderer: Renderer, manifest: Manifest, shards: Sequence[Shard], batch_size: int
) -> Iterator[Rendered]:
    """The pictures of all `shards`, digested, batch by batch and ahead of who asks; no batch crosses a shard's end."""
    requests = (
        Request(shard.part, manifest.samples_of(shard)[start : start + batch_size], shard.view, digested=True)
        for shard in shards
        for start in range(0, shard.rows, batch_size)
    )
    return renderer.ahead(renderer.views(requests))


def _shard(shard: Shard, rendered: Iterator[Rendered], teacher: Teacher, advance: Advance) -> tuple[Tensor, Digests]:
    """The logits and pixel digests of one shard, from the next of the `rendered` batches."""
    logits: list[Tensor] = []
    pixel_digests: list[Digests] = []
    done = 0
    while done < shard.rows:
        batch = next(rendered)
        assert batch.digests is not None
        logits.append(teacher.logits(batch.pixels))
        pixel_digests.append(batch.digests)
        done += len(batch.pixels)
        advance(len(batch.pixels))
    return torch.cat(logits), np.concatenate(pixel_digests)


def _check_logits(logits: Tensor, shard: Shard, manifest: Manifest) -> None:
    if logits.shape[1] != manifest.classes:
        raise ModelError(
            f"The teacher gives {logits.shape[1]} logits per image; the data has {manifest.classes} classes."
        )
    bad = (~logits.isfinite()).any(1).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ModelError(
            f"The teacher gives {logits[row][~logits[row].isfinite()][0].item()} for {shard.part} sample "
            f"{manifest.samples_of(shard)[row]}, view {shard.view} ({len(bad)} such rows in this shard). Check the "
            "checkpoint and --normalise; with --precision bf16 try float32. Finished shards are kept."
        )
