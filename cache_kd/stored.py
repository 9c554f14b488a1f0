"""What a manifest names, found again and held against it: recipe, images, teacher."""

from collections.abc import Sequence
from pathlib import Path

import torch

from cache_kd.config import build
from cache_kd.errors import ModelError, SourceError, StoreMismatch
from cache_kd.models.teacher import Teacher, load_teacher
from cache_kd.models.zoo import library_of
from cache_kd.sources.open import open_source
from cache_kd.sources.source import Source, SourceSpec
from cache_kd.store.knobs import StoredKnobs
from cache_kd.store.manifest import Manifest
from cache_kd.trust import demand_trust, texts_of
from cache_kd.views import Recipe, make_recipe
from cache_kd.views.recorded import RecordedCrops


def open_stored_recipe(manifest: Manifest, *, trust: Sequence[str] = (), path: Path) -> Recipe:
    """The recipe of a store, with the knobs that the store keeps for it.

    Raises:
        ConfigError: it calls a function that is not trusted.
    """
    # before a recipe is made of it: whatever a crafted manifest says, nothing it names is imported by looking at it
    demand_trust(path, texts_of(manifest.recipe), trust)
    recipe = make_recipe(manifest.recipe)
    return recipe.equipped(StoredKnobs(path, manifest)) if isinstance(recipe, RecordedCrops) else recipe


def open_stored_source(
    manifest: Manifest,
    part: str,
    *,
    data: str | None = None,
    root: str | None = None,
    trust: Sequence[str] = (),
    path: Path,
) -> Source:
    """The images of one part of a store, their fingerprint compared with the manifest's.

    Raises:
        ConfigError: a function gives them that is not trusted.
        StoreMismatch: they are not the images and labels that the store was made from.
    """
    stored, decode = manifest.source.spec, manifest.source.decode
    asked = {
        "data": data or stored["data"],
        "root": root or (None if data else stored.get("root")),
        "split": part,
        "decode": decode and decode.model_dump(),
        "skipped": manifest.source.skipped.get(part, ()),
    }
    spec = build(SourceSpec, asked, origin=str(path))
    demand_trust(path, [] if data else [spec.data], trust)
    try:
        source = open_source(spec)
    except SourceError as fault:
        raise SourceError(
            f"{path} was dumped from {stored['data']}. If the images moved, pass --data. {fault}"
        ) from None
    expected, found = manifest.parts[part].fingerprint, source.fingerprint()
    if found != expected:
        raise StoreMismatch(
            f"{path} was dumped from {manifest.parts[part].samples} {part} images with fingerprint {expected}; "
            f"{spec.data} ({len(source)} images) has {found}. Images or labels were changed, added, removed or "
            "reordered: pass --data with the original ones, or dump again to another --store."
        )
    return source


def open_stored_teacher(
    manifest: Manifest,
    *,
    checkpoint: Path | None,
    device: torch.device,
    trust: Sequence[str] = (),
    path: Path,
    supposed: bool = False,
) -> Teacher:
    """The teacher that a manifest names, its weights compared with the stored fingerprint.

    Of the teacher of imported logits no fingerprint is known, and the mean of several has no model.

    Args:
        manifest: of the store.
        checkpoint: where the weights are now; None where the manifest says.
        device: where it runs.
        trust: functions named by the store that may be imported.
        path: of the store.
        supposed: for imported logits, take the weights of `checkpoint` as the teacher's, to compare the logits of both.

    Raises:
        ConfigError: a function builds it that is not trusted.
        ModelError: the weights are missing, do not fit, are others, or are not known; or there is no one model.
    """
    stored = manifest.teacher
    if manifest.ensemble is not None:
        members = " and ".join(member.path for member in manifest.ensemble.members)
        raise ModelError(
            f"{path} holds {stored.name}, the mean of {members}: there is no model to ask. Its members have theirs "
            f"(kdcache verify); to write it again, merge to another --store: {manifest.dump_command(path)}"
        )
    unknown = manifest.alignment == "unproven"
    if unknown and not (supposed and checkpoint):
        raise ModelError(
            f"{path} holds imported logits, and does not know the weights that made them. "
            f"`kdcache verify {path} --checkpoint WEIGHTS` compares them with a teacher's; to redo rows, import again."
        )
    demand_trust(path, [] if library_of(stored.name) else [stored.name], trust)
    weights = checkpoint or Path(stored.checkpoint)
    teacher = load_teacher(
        stored.name,
        weights,
        classes=manifest.classes,
        channels=manifest.source.channels,
        device=device,
        precision=stored.precision,
        normalise=dict(stored.normalise),
    )
    if teacher.fingerprint != stored.fingerprint and not unknown:
        raise ModelError(
            f"{weights} has weights {teacher.fingerprint}; the store was dumped from {stored.fingerprint}. "
            "Pass --checkpoint with the weights of the dump."
        )
    return teacher
