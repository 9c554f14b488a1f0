"""The rows of an ensemble: what several teachers' stores say of the same views, averaged shard by shard."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from cache_kd.distill.fold import fold
from cache_kd.errors import StoreError, StoreMismatch
from cache_kd.progress import Progress
from cache_kd.siblings import demand_same_pixels
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import Average
from cache_kd.store.reader import Reader
from cache_kd.store.witness import witness_views
from cache_kd.store.writer import Writer
from cache_kd.types import Logits, TeacherLogits


def average(logits: TeacherLogits, how: Average, weights: Sequence[float]) -> Logits:
    """Raw logits of the ensemble that several teachers are, right at the temperatures that `how` allows.

    Args:
        logits: raw, [teachers, batch, classes]; teachers over the same views of the same samples.
        how: "logits": their mean, whose softmax is the normalised geometric mean of the teachers' at every temperature;
            "probabilities": the log of the mean softmax, whose softmax is the arithmetic mean of the teachers' at
            temperature 1. At T > 1 it is that mixture softened, not the mixture of the softened teachers.
        weights: of the teachers, > 0; they need not add up to 1.

    References: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, which names both means.
    """
    if how == "probabilities":
        return fold(logits, "mean_probabilities", weights)
    shares = logits.new_tensor(list(weights)) / sum(weights)
    return (shares[:, None, None] * logits).sum(dim=0)


def lacking(writer: Writer, members: Sequence[Reader]) -> list[Shard]:
    """The shards that an ensemble lacks and that all its members have.

    A store that grew when its members had more views may lack some that they no longer have.
    """
    return [
        shard
        for shard in writer.pending()
        if all(shard.view < member.manifest.parts[shard.part].views for member in members)
    ]


def write_mean(writer: Writer, members: Sequence[Reader], progress: Progress) -> None:
    """Write whatever an ensemble lacks and its members have; one view of each is in memory at a time.

    Args:
        writer: of the ensemble, whose manifest says what is averaged, and the shares.
        members: finished stores of the same views, in the order that the manifest has.
        progress: who watches.

    Raises:
        StoreDamaged: a member's file is not what was written.
        StoreError: the disk is full or cannot be written to.
    """
    first, manifest, ensemble = members[0], writer.manifest, writer.manifest.ensemble
    assert ensemble is not None
    shares = [member.share for member in ensemble.members]
    views = min(first.manifest.parts["train"].views, manifest.parts["train"].views)
    if first.manifest.knobs:
        for view in range(views):
            writer.write_knobs(view, first.knobs(view))
    for view in set(writer.pending_witnesses()) & set(witness_views(first.manifest)):
        writer.write_witnesses(view, first.witnesses(view))
    for part in manifest.parts:
        writer.write_labels(part, first.labels(part))
    shards = lacking(writer, members)
    with progress.task("merge", sum(shard.rows for shard in shards), "rows") as advance:
        for (part, view), of_view in groupby(shards, key=lambda shard: (shard.part, shard.view)):
            views_of_members, digests = [member.view(part, view) for member in members], first.digests(part, view)
            for shard in of_view:
                samples = manifest.samples_of(shard)
                logits = torch.from_numpy(np.stack([stored.rows(samples) for stored in views_of_members]))
                writer.write(shard, average(logits, ensemble.average, shares), digests[samples])
                advance(shard.rows)


def open_members(reader: Reader) -> list[Reader]:
    """The stores that an ensemble is the mean of, found where they were and known to be the same ones.

    Args:
        reader: of the ensemble, finished or not.

    Raises:
        StoreError: one is gone, unfinished or damaged.
        StoreMismatch: one is another store now, has fewer views, or was dumped again from other pixels.
    """
    ensemble = reader.manifest.ensemble
    assert ensemble is not None
    needed = {part: entry.views for part, entry in reader.manifest.parts.items()}
    why = (
        f"{reader.path} is the mean of {' and '.join(member.path for member in ensemble.members)}, and needs them all."
    )
    members = []
    for stored in ensemble.members:
        try:
            member = Reader.open(Path(stored.path))
        except StoreError as fault:
            raise type(fault)(f"{why} {fault}") from None
        held = {part: entry.views for part, entry in member.manifest.parts.items()}
        if member.manifest.store_id != stored.store_id or any(held.get(part, 0) < needed[part] for part in needed):
            raise StoreMismatch(
                f"{why} {stored.path} was store {stored.store_id} of {needed['train']} views or more, and is "
                f"{member.manifest.store_id} of {held['train']}. Put the old one back, or merge to another --store. "
                "Nothing was changed."
            )
        members.append(member)
    for member in members[1:]:
        demand_same_pixels(members[0], member, needed)
    return members
