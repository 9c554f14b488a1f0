"""Redoes the damaged parts of a store, and only those, with what its manifest names: teacher and images, or members."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from cache_kd.asking import ask
from cache_kd.config import Config
from cache_kd.device import DeviceName, resolve_device
from cache_kd.ensemble import open_members, write_mean
from cache_kd.errors import StoreDamaged, StoreMismatch
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import Rendering, Request, open_renderer
from cache_kd.store.damage import Damage, find_damage, strangers
from cache_kd.store.disk import mending
from cache_kd.store.layout import Shard
from cache_kd.store.locks import Reading, writing
from cache_kd.store.manifest import Manifest, StoredEnsemble, read_manifest
from cache_kd.store.reader import Reader
from cache_kd.store.record import Piece, Record, knob_pieces, read_record, witness_piece
from cache_kd.store.witness import witness_views
from cache_kd.store.writer import Writer
from cache_kd.stored import open_stored_recipe, open_stored_source, open_stored_teacher
from cache_kd.types import Digests, Samples
from cache_kd.witness import compare, write_witnesses
from cache_kd.writing import write_taught

BATCH_SIZE = 256  # of stores that do not say theirs
PROVING_ROWS = 32  # of each view, compared by their digests where no witness is left


class Repair(Config):
    """What was redone, or with `dry_run` what would be.

    Attributes:
        path: of the store.
        dry_run: nothing was touched.
        metadata: metadata files of arrays and groups that were written again.
        pieces: shards, labels and witnesses that were redone, in words.
        rows: that the teacher was asked for, or that were averaged again.
        same: of the pieces, those whose records survived and say that every byte is as it was.
        other: those whose records say that it is not: the teacher rounds otherwise here, or the record was damaged.
        linked: files that hold some of the store's own by links, and were left alone.
        foreign: files that do not belong to the store.
        removed: whether these were deleted.
    """

    path: Path
    dry_run: bool
    metadata: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    rows: int = 0
    same: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    removed: bool = False


def repair(
    path: Path,
    *,
    data: str | None = None,
    root: str | None = None,
    checkpoint: Path | None = None,
    device: DeviceName = "auto",
    workers: int | None = None,
    batch_size: int | None = None,
    trust: Sequence[str] = (),
    remove_foreign: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Repair:
    """Read every byte of the store at `path`, and redo what is missing, torn or flipped.

    On the device and with the libraries of the dump every file ends with the bytes it had. What a dump has not
    written yet counts as missing. An ensemble takes what it lacks from its members, and needs no images.

    Args:
        path: of the store; its manifest must be whole.
        data: where the images are now, if they moved.
        root: the folder of a torchvision data set, if it moved.
        checkpoint: where the teacher's weights are now, if they moved.
        device: to run the teacher on.
        workers: processes that render; None for as many as the data gains from.
        batch_size: images per forward pass; None for the dump's, on which the last bit of a logit may depend.
        trust: functions named by the store that may be imported.
        remove_foreign: delete the files that do not belong to the store; else they are left alone. What a link in
            place of a file of the store leads through or to stays.
        dry_run: only say what would be done.
        progress: who watches.

    Raises:
        StoreDamaged: the manifest is damaged; without it nobody knows what the store held. Or something is still
            damaged after the repair.
        StoreBusy: a process is writing to the store.
        StoreMismatch: the images are others, or are rendered otherwise here than for the dump.
        StoreError: a file cannot be written or deleted.
        KdCacheError: the store, its images, its teacher or a member cannot be opened.
    """
    progress = progress or Silent()
    reader = Reader.examine(path)
    progress.say(f"Reading every file of {path} ...")
    damage = find_damage(path, reader.manifest, deep=True)
    result = _planned(damage, dry_run)
    whence = "by the teacher" if reader.manifest.ensemble is None else "from its members"
    progress.say(_announcement(damage, result, whence, remove_foreign))
    if dry_run:
        return result
    if damage.metadata:
        Writer.reopen(path, []).close()
    if damage.pieces:
        before = {piece: read_record(path, piece) for piece, _ in damage.pieces}
        if reader.manifest.ensemble is not None:
            _merge_again(reader, damage, reader.manifest.ensemble, progress)
        else:
            _redo(
                reader, damage, data=data, root=root, checkpoint=checkpoint, device=device, workers=workers,
                batch_size=batch_size or _batch_size(reader.manifest), trust=trust, progress=progress,
            )  # fmt: skip
        result = _compared(result, path, before)
    if remove_foreign and damage.foreign:
        foreign = _remove_foreign(path, damage.foreign)
        result = result.model_copy(update={"foreign": foreign, "removed": bool(foreign)})
    _demand_whole(path)
    return result


def _remove_foreign(path: Path, announced: Sequence[str]) -> tuple[str, ...]:
    """Delete what still belongs to no store now that nobody else writes to this one; a growth may have come between."""
    with mending(path), writing(path):
        _, foreign = strangers(path, read_manifest(path))
        going = tuple(file for file in announced if file in foreign)
        for file in going:
            (path / file).unlink()
    return going


def _demand_whole(path: Path) -> None:
    """See that nothing is missing or torn, by the sizes of all files, before the store is called whole."""
    left = find_damage(path, read_manifest(path))
    if left.metadata or left.pieces:
        raise StoreDamaged(
            f"{path} is still damaged after its repair: {left.sentences[0]}. If no other process changes its files, "
            "dump again to another --store."
        )


def _merge_again(reader: Reader, damage: Damage, ensemble: StoredEnsemble, progress: Progress) -> None:
    """Of an ensemble: its members are the ones to ask, and hold its labels, digests and witnesses too."""
    with ExitStack() as reading:
        for member in ensemble.members:
            reading.enter_context(Reading(Path(member.path)))
        first, *others = open_members(reader)
        suspects = [piece for piece, _ in damage.pieces]
        for view in _undamaged_witnesses(reader.manifest, suspects):
            if not np.array_equal(reader.witnesses(view), first.witnesses(view)):
                raise StoreMismatch(
                    _other_pixels(reader.path, f"the witnesses of view {view} are not those of {first.path}.")
                )
        lost = {piece.shard for piece in suspects}
        if not _digests_hold(reader, lambda view, samples: first.digests("train", view)[samples], lost):
            raise StoreMismatch(_other_pixels(reader.path, f"digests of its rows are not those of {first.path}."))
        with Writer.reopen(reader.path, suspects) as writer:
            write_mean(writer, [first, *others], progress)


def _redo(
    reader: Reader,
    damage: Damage,
    *,
    data: str | None,
    root: str | None,
    checkpoint: Path | None,
    device: DeviceName,
    workers: int | None,
    batch_size: int,
    trust: Sequence[str],
    progress: Progress,
) -> None:
    """Everything is opened and proven before the first damaged file is deleted."""
    path, manifest = reader.path, reader.manifest
    suspects = [piece for piece, _ in damage.pieces]
    for piece in knob_pieces(manifest):
        if piece in suspects:
            raise StoreDamaged(
                f"{path}: the {piece.title} are damaged, and only the files that were imported have them. Import them "
                "again to another --store. Nothing was changed."
            )
    shards = [piece.shard for piece in suspects if piece.shard is not None]
    place = resolve_device(device)
    recipe = open_stored_recipe(manifest, trust=trust, path=path)
    sources = {
        part: open_stored_source(manifest, part, data=data, root=root, trust=trust, path=path)
        for part in manifest.parts
    }
    rendering = Rendering(sources=sources, recipe=recipe, seed=manifest.seed)
    _demand_same_pixels(reader, rendering, suspects)
    # labels and witnesses need no teacher, so its weights may be gone
    teacher = (
        open_stored_teacher(manifest, checkpoint=checkpoint, device=place, trust=trust, path=path) if shards else None
    )
    renderer = open_renderer(sources, recipe, seed=manifest.seed, workers=workers, device=place)
    with renderer, Writer.reopen(path, suspects) as writer:
        write_witnesses(writer, rendering)
        for part, source in sources.items():
            writer.write_labels(part, source.labels())
        pending = writer.pending()
        if teacher is None or not pending:
            return
        with progress.task("teacher", sum(shard.rows for shard in pending), "views") as advance:
            write_taught(writer, ask(teacher, renderer, manifest, pending, batch_size=batch_size, advance=advance))


def _demand_same_pixels(reader: Reader, rendering: Rendering, suspects: Sequence[Piece]) -> None:
    """See that what is to be added is of the pixels of what is left, by its witnesses or else by its digests."""
    views = _undamaged_witnesses(reader.manifest, suspects)
    verdict = compare(reader, rendering, views) if views else None
    if verdict is not None and verdict.kind != "exact":
        raise StoreMismatch(_other_pixels(reader.path, str(verdict)))

    def rendered(view: int, samples: Samples) -> Digests:
        digests = rendering(Request("train", samples, view, digested=True)).digests
        assert digests is not None
        return digests

    if verdict is None and not _digests_hold(reader, rendered, {piece.shard for piece in suspects}):
        raise StoreMismatch(_other_pixels(reader.path, "no witness is left, and digests of its rows differ."))


def _undamaged_witnesses(manifest: Manifest, suspects: Sequence[Piece]) -> list[int]:
    """The views whose witnesses may be compared."""
    lost = {piece.name for piece in suspects}
    return [view for view in witness_views(manifest) if witness_piece(manifest, view).name not in lost]


def _digests_hold(reader: Reader, digests_of: Callable[[int, Samples], Digests], lost: set[Shard | None]) -> bool:
    """Whether some rows of every train view that has an undamaged shard are of the pixels that are to be added."""
    layout = reader.manifest.parts["train"].layout
    for view in range(layout.views):
        shard = next((shard for shard in layout.shards_of("train", view) if shard not in lost), None)
        if shard is None:
            continue
        samples = reader.manifest.samples_of(shard)[:PROVING_ROWS]
        _, stored = reader.shard(shard)
        if not np.array_equal(digests_of(view, samples), stored[: len(samples)]):
            return False
    return True


def _other_pixels(path: Path, why: str) -> str:
    return (
        f"{path} cannot be repaired here: {why} Rows of two kinds of pixels must not meet in one store: use the "
        "versions of its dump, or dump again to another --store. No shard was changed."
    )


def _batch_size(manifest: Manifest) -> int:
    return int(manifest.environment.get("batch_size", BATCH_SIZE))


def _planned(damage: Damage, dry_run: bool) -> Repair:
    return Repair(
        path=damage.path,
        dry_run=dry_run,
        metadata=tuple(damage.metadata),
        pieces=tuple(piece.title for piece, _ in damage.pieces),
        rows=sum(piece.rows for piece, _ in damage.pieces if piece.shard),
        linked=damage.linked,
        foreign=damage.foreign,
    )


def _compared(planned: Repair, path: Path, before: dict[Piece, Record | None]) -> Repair:
    """Which of the pieces are byte for byte what their surviving records say they were."""
    known = {piece: record for piece, record in before.items() if record is not None}
    same = {piece for piece, record in known.items() if read_record(path, piece) == record}
    return planned.model_copy(
        update={
            "same": tuple(piece.title for piece in known if piece in same),
            "other": tuple(piece.title for piece in known if piece not in same),
        }
    )


def _announcement(damage: Damage, planned: Repair, whence: str, remove_foreign: bool) -> str:
    """What the repair will do, fault by fault, before it does it."""
    if not damage.sentences:
        return f"{damage.path}: every file is what was written; nothing to repair."
    lines = [f"  {sentence}" for sentence in damage.sentences]
    work = [
        f"{len(planned.metadata)} metadata file(s) written again" if planned.metadata else "",
        f"{len(planned.pieces)} piece(s) redone, {planned.rows:,} rows {whence}" if planned.pieces else "",
        f"{len(planned.linked)} file(s) left alone, which hold some of the store by links" if planned.linked else "",
        f"{len(planned.foreign)} foreign file(s) {'deleted' if remove_foreign else 'left alone'}"
        if planned.foreign
        else "",
    ]
    return "\n".join([f"{damage.path}:", *lines, f"To do: {'; '.join(filter(None, work))}."])
