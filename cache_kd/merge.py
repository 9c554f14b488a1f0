"""The route of an ensemble: stores of several teachers over the same views, averaged shard by shard into one store."""

import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cache_kd.bucket.url import LocalPath
from cache_kd.config import Config, canonical_json
from cache_kd.ensemble import lacking, write_mean
from cache_kd.errors import ConfigError, StoreMismatch
from cache_kd.files import lasting_place
from cache_kd.models.normalise import make_normalise
from cache_kd.progress import Progress, Silent
from cache_kd.siblings import demand_other_teachers, demand_same_pixels, demand_same_views
from cache_kd.store.catalog import bytes_on_disk, holds
from cache_kd.store.codec import make_codec
from cache_kd.store.locks import Reading
from cache_kd.store.manifest import Average, Manifest, new_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer


class MergeConfig(Config):
    """Stores of several teachers over the same views, and what is to become of them."""

    members: Annotated[tuple[Path, ...], Field(min_length=2)]
    store: LocalPath
    average: Average = "logits"
    # of the members; None: all alike. The bound keeps sums of them finite.
    weights: tuple[Annotated[float, Field(gt=0, le=1e12)], ...] | None = None
    codec: str | dict[str, Any] = "float16"
    normalise: str | dict[str, Any] | None = None  # which students take over; None: as all members have it


class MergeResult(Config):
    """What a merge did, for scripts."""

    store: str
    store_id: str
    teacher: str
    views: int
    samples: int
    merged_rows: int  # 0: the store was there already
    seconds: float
    bytes: int


def merge(config: MergeConfig, progress: Progress | None = None) -> MergeResult:
    """Write the mean of several stores' logits as a store of its own, from which a student trains as from any other.

    Whatever an interrupted merge finished is kept; a complete store costs nothing, and views that the members gained
    since are added. The members may have any codecs and layouts, and come in any order: the store is the same.

    Raises:
        ConfigError: not one weight for each member, two members of one teacher, or members of several normalisations.
        StoreMismatch: the members do not hold the same views, or `store` holds something else.
        StoreError: a member is no finished store.
        KdCacheError: anything else that a user can mend.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    with ExitStack() as reading:
        for path in config.members:
            reading.enter_context(Reading(path))
        members = [Reader.open(path) for path in config.members]
        demand_other_teachers(members)
        shares = shares_of(config.weights, len(members))
        parts = [part for part in members[0].manifest.parts if all(part in member.manifest.parts for member in members)]
        for member in members[1:]:
            demand_same_views(members[0], member, parts)
        # rounding depends on the order of a sum, and the same mean is to be the same store
        places = sorted(range(len(members)), key=lambda place: _order(members[place]))
        members, shares = [members[place] for place in places], [shares[place] for place in places]
        first, *others = members
        asked = _manifest(config, members, shares, parts)
        if not holds(config.store, asked):
            for member in others:
                demand_same_pixels(first, member, parts)

        def admit(stored: Manifest) -> None:
            _demand_same_witnesses(first, Reader(config.store, stored))

        with Writer.create_or_resume(config.store, asked, admit=admit) as writer:
            manifest = writer.manifest
            pending = lacking(writer, members)
            rows = sum(shard.rows for shard in pending)
            progress.say(f"{asked.teacher.name}: {rows:,} rows in {len(pending)} shards -> {config.store}")
            write_mean(writer, members, progress)
    return MergeResult(
        store=str(config.store),
        store_id=manifest.store_id,
        teacher=manifest.teacher.name,
        views=manifest.parts["train"].views,
        samples=manifest.parts["train"].samples,
        merged_rows=rows,
        seconds=time.perf_counter() - started,
        bytes=bytes_on_disk(config.store),
    )


def shares_of(weights: Sequence[float] | None, members: int) -> list[float]:
    """Of each member in the mean; they add up to 1. Shares of shares are the same ones, so a manifest's can be given.

    >>> shares_of((3.0, 1.0), 2), shares_of(None, 2)
    ([0.75, 0.25], [0.5, 0.5])

    Raises:
        ConfigError: there is not one weight for each.
    """
    weights = weights or (1.0,) * members
    if len(weights) != members:
        raise ConfigError(
            f"--weights has {len(weights)} number(s) for {members} stores. Give one for each, in their order."
        )
    total = math.fsum(weights)
    # quotients are off by 2^-53 of themselves at most, their sum as much, and it is rounded once more
    return list(weights) if abs(total - 1) <= 2**-52 else [weight / total for weight in weights]


def _order(member: Reader) -> str:
    """Where a member stands among the others, whatever their order on the command line."""
    identity = member.manifest.identity()
    return canonical_json([member.manifest.teacher.name, identity["teacher"], identity["codec"]])


def _manifest(
    config: MergeConfig, members: Sequence[Reader], shares: Sequence[float], parts: Sequence[str]
) -> Manifest:
    """What the members have in common, and who they are."""
    manifests = [member.manifest for member in members]
    first = manifests[0]
    source, teachers = first.source, [manifest.teacher for manifest in manifests]
    return new_manifest(
        samples={part: first.parts[part].samples for part in parts},
        fingerprints={part: first.parts[part].fingerprint for part in parts},
        views=first.parts["train"].views,
        classes=first.classes,
        class_names=source.class_names,
        channels=source.channels,
        source_spec=source.spec,
        decode=source.decode.model_dump(mode="json") if source.decode else None,
        skipped={part: files for part, files in source.skipped.items() if part in parts},
        recipe=first.recipe,
        seed=first.seed,
        teacher={
            "name": f"ensemble:{config.average}({','.join(teacher.name for teacher in teachers)})",
            "fingerprint": _fingerprint(config.average, manifests, shares),
            "checkpoint": "",
            "normalise": _normalise(config, members),
            "precision": "bf16" if any(teacher.precision == "bf16" for teacher in teachers) else "float32",
        },
        codec=make_codec(config.codec).resolved(classes=first.classes, features=None).to_json(),
        knobs=first.knobs,
        alignment="proven" if all(manifest.alignment == "proven" for manifest in manifests) else "unproven",
        ensemble={
            "average": config.average,
            "members": [
                {
                    "path": lasting_place(str(member.path)),
                    "store_id": member.manifest.store_id,
                    "teacher": member.manifest.teacher.name,
                    "share": share,
                }
                for member, share in zip(members, shares, strict=True)
            ],
        },
        environment=first.environment,  # the pixels are the members'; so are the digests
    )


def _fingerprint(how: Average, manifests: Sequence[Manifest], shares: Sequence[float]) -> str:
    """Of everything that decides the mean: each member's teacher and codec, its share, and what is averaged."""
    members = [
        {"teacher": identity["teacher"], "codec": identity["codec"], "share": share}
        for identity, share in zip((manifest.identity() for manifest in manifests), shares, strict=True)
    ]
    return hashlib.blake2b(canonical_json({"average": how, "members": members}).encode(), digest_size=16).hexdigest()


def _normalise(config: MergeConfig, members: Sequence[Reader]) -> dict[str, Any]:
    """What stands before a student: the members', or what was asked for."""
    first = members[0]
    if config.normalise is not None:
        return make_normalise(config.normalise, channels=first.manifest.source.channels).model_dump(mode="json")
    for member in members[1:]:
        ours, theirs = first.manifest.teacher.normalise, member.manifest.teacher.normalise
        if theirs != ours:
            raise ConfigError(
                f"The teacher of {first.path} is normalised by {canonical_json(ours)}, that of {member.path} by "
                f"{canonical_json(theirs)}, and a student takes one over. Say with --normalise which."
            )
    return first.manifest.teacher.normalise


def _demand_same_witnesses(first: Reader, stored: Reader) -> None:
    """See that what is about to be added to an interrupted or growing store is of the same pixels as what it holds."""
    view = stored.other_witnesses(first.manifest, first.witnesses)
    if view is not None:
        raise StoreMismatch(
            f"{stored.path} was merged from other pixels than those of {first.path}: the witnesses of view {view} "
            "differ. Pass another --store; nothing was changed."
        )
