"""A teacher asked shard by shard: pictures rendered ahead of it, logits checked, digests of the pixels beside them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cache_kd.errors import ModelError
from cache_kd.models.features import Penultimate
from cache_kd.models.teacher import Teacher
from cache_kd.progress import Advance
from cache_kd.rendering import Rendered, Renderer, Rendering, Request
from cache_kd.store.codec import Codec, LastLayer, make_codec
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Manifest
from cache_kd.types import Digests, Logits, Samples


class TaughtShard(NamedTuple):
    """What a writer takes."""

    shard: Shard
    logits: Logits
    digests: Digests
    last_layer: LastLayer | None  # of the teacher, where the codec of the store reads it


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
    watched = watch_last_layer(teacher, make_codec(manifest.codec), renderer.rendering)
    rendered = rendered_shards(renderer, manifest, shards, batch_size)
    for shard in shards:
        taught = _shard(shard, rendered, teacher, watched, advance)
        try:
            check_logits(taught.logits, manifest.classes, shard.part, shard.view, manifest.samples_of(shard))
        except ModelError as fault:
            raise ModelError(f"{fault} Finished shards are kept.") from None
        yield taught


def resolved_codec(codec: Codec, teacher: Teacher, rendering: Rendering) -> Codec:
    """`codec` with the fields filled in that depend on this teacher.

    Raises:
        ModelError: it reads the last layer, and the teacher's logits are not those of a linear one.
        ConfigError: it cannot keep such a teacher.
    """
    watched = watch_last_layer(teacher, codec, rendering)
    classes = rendering.sources["train"].classes
    return codec.resolved(classes=classes, features=watched.size if watched else None)


def watch_last_layer(teacher: Teacher, codec: Codec, rendering: Rendering) -> Penultimate | None:
    """What shows the last layer of `teacher` for the latest pictures; None where `codec` does not read it.

    Raises:
        ModelError: it reads it, and the teacher's logits are not those of a linear layer.
    """
    if not codec.reads_last_layer:
        return None
    return teacher.penultimate(rendering(Request("train", np.arange(2), 0)).pixels)


def last_layer_of(watched: Penultimate | None) -> LastLayer | None:
    """The last layer as the latest pictures left it."""
    return LastLayer(watched.features.float(), watched.weight, watched.bias) if watched else None


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


def check_logits(logits: Logits, classes: int, part: str, view: int, samples: Samples) -> None:
    """See that a teacher's answers can be learned from.

    Args:
        logits: what it said.
        classes: that the data has.
        part: of which it was asked.
        view: of all pictures.
        samples: of the rows.

    Raises:
        ModelError: another number of logits, NaN or infinity; names the first sample.
    """
    if logits.shape[1] != classes:
        raise ModelError(f"The teacher gives {logits.shape[1]} logits per image; the data has {classes} classes.")
    bad = (~logits.isfinite()).any(1).nonzero()
    if len(bad):
        row = int(bad[0])
        raise ModelError(
            f"The teacher gives {logits[row][~logits[row].isfinite()][0].item()} for {part} sample {samples[row]}, "
            f"view {view} ({len(bad)} such rows of {len(logits)}). Check the checkpoint and --normalise; with "
            "--precision bf16 try float32."
        )


def _shard(
    shard: Shard, rendered: Iterator[Rendered], teacher: Teacher, watched: Penultimate | None, advance: Advance
) -> TaughtShard:
    """One shard, from the next of the `rendered` batches."""
    logits: list[Tensor] = []
    layers: list[LastLayer] = []
    pixel_digests: list[Digests] = []
    done = 0
    while done < shard.rows:
        batch = next(rendered)
        assert batch.digests is not None
        logits.append(teacher.logits(batch.pixels))
        if layer := last_layer_of(watched):
            layers.append(layer)
        pixel_digests.append(batch.digests)
        done += len(batch.pixels)
        advance(len(batch.pixels))
    whole = layers[0]._replace(features=torch.cat([layer.features for layer in layers])) if layers else None
    return TaughtShard(shard, torch.cat(logits), np.concatenate(pixel_digests), whole)
