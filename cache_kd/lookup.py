"""Which stores below a root would serve a dump with given settings, compared by what decides their numbers."""

from pathlib import Path
from typing import Any

from cache_kd.bucket.listing import stores_at
from cache_kd.config import Config
from cache_kd.device import Precision
from cache_kd.errors import ConfigError, ModelError
from cache_kd.models.checkpoint import fingerprint
from cache_kd.models.load import load_model
from cache_kd.models.normalise import read_normalise
from cache_kd.sources.open import is_tree, open_source, splits
from cache_kd.sources.source import Decoding, SourceSpec
from cache_kd.sources.usual import usual_normalise
from cache_kd.store.catalog import Entry
from cache_kd.store.codec import Codec, make_codec
from cache_kd.store.manifest import Manifest
from cache_kd.views import make_recipe


class Wanted(Config):
    """What of a dump is known; None fits anything. The knobs are those of `dump.DumpConfig`."""

    data: str | None = None
    root: str | None = None
    decode: Decoding | None = None
    teacher: str | None = None
    checkpoint: Path | None = None  # its weights are compared; without it the teacher's name
    normalise: str | dict[str, Any] | None = None  # None, with a checkpoint: as a dump of it takes it
    precision: Precision | None = None
    recipe: str | dict[str, Any] | None = None
    views: int | None = None
    seed: int | None = None
    codec: str | dict[str, Any] | None = None


def find_stores(root: Path | str, wanted: Wanted) -> list[Entry]:
    """The finished, undamaged stores at or below `root` from which a dump of `wanted` would take everything.

    Images are compared by their fingerprint (one pass over them the first time, remembered from then on), weights by
    theirs, and with them what they are normalised by; where either is not given, it may be any. Imported logits and
    ensembles serve no dump: no weights that could be given are theirs.

    Raises:
        StoreError: `root` is not a folder, or a bucket that cannot be read.
        SourceError: the images cannot be opened.
        ModelError: there is no such checkpoint.
        ConfigError: there is no such recipe, codec or normalisation, or a checkpoint is given without the name of its
            model.
    """
    if wanted.checkpoint is not None and wanted.teacher is None:
        raise ConfigError(f"--checkpoint {wanted.checkpoint} needs --teacher, the name of its model.")
    if wanted.checkpoint is not None and not wanted.checkpoint.is_file():
        raise ModelError(f"There is no checkpoint at {wanted.checkpoint}.")
    if wanted.normalise is not None:
        read_normalise(wanted.normalise)
    codec = None if wanted.codec is None else make_codec(wanted.codec)
    identity = _identity(wanted)
    usable = [entry for entry in stores_at(root) if entry.manifest is not None and entry.complete == 1]
    return [entry for entry in usable if entry.manifest and _serves(entry.manifest, wanted, codec, identity)]


def _identity(wanted: Wanted) -> dict[str, Any]:
    """The part of `Manifest.identity` that is known without a store."""
    known: dict[str, Any] = {}
    if wanted.recipe is not None:
        known["recipe"] = make_recipe(wanted.recipe).to_json()
    if wanted.seed is not None:
        known["seed"] = wanted.seed
    if wanted.data is not None:
        known |= _identity_of_images(wanted, wanted.data)
    return known


def _identity_of_images(wanted: Wanted, data: str) -> dict[str, Any]:
    spec = SourceSpec(data=data, root=wanted.root, decode=wanted.decode)
    parts = [split for split in ("train", "test") if split == "train" or split in splits(spec)]
    sources = {part: open_source(spec.model_copy(update={"split": part})) for part in parts}
    decode = sources["train"].spec.decode if is_tree(spec) else None
    return {
        "fingerprints": {part: source.fingerprint() for part, source in sources.items()},
        "decode": decode and decode.model_dump(mode="json", exclude={"unreadable"}),
    }


def _serves(manifest: Manifest, wanted: Wanted, codec: Codec | None, identity: dict[str, Any]) -> bool:
    stored = {
        **manifest.identity(),
        "fingerprints": {name: part.fingerprint for name, part in manifest.parts.items()},
    }
    return (
        _is_dumped(manifest)
        and all(stored.get(field) == value for field, value in identity.items())
        and (wanted.views is None or wanted.views <= manifest.parts["train"].views)
        and (codec is None or _same_codec(codec, manifest))
        and wanted.teacher in (None, manifest.teacher.name)
        and wanted.precision in (None, manifest.teacher.precision)
        and (wanted.normalise is None or _is_normalised_by(manifest, wanted.normalise))
        and (wanted.checkpoint is None or _has_weights(manifest, wanted))
    )


def _is_dumped(manifest: Manifest) -> bool:
    """Whether its logits are those of one teacher whose weights are known."""
    return manifest.alignment == "proven" and manifest.ensemble is None


def _is_normalised_by(manifest: Manifest, spec: str | dict[str, Any]) -> bool:
    """Whether a dump with this normalisation would show its teacher what the store's was shown."""
    return read_normalise(spec).model_dump(mode="json") == manifest.teacher.normalise


def _same_codec(asked: Codec, manifest: Manifest) -> bool:
    """Whether a dump with this codec would keep a teacher of this store's size as the store does."""
    if asked.name != manifest.codec["name"]:
        return False
    try:
        resolved = asked.resolved(classes=manifest.classes, features=manifest.codec.get("features"))
    except ConfigError:
        return False
    return resolved.to_json() == manifest.codec


def _has_weights(manifest: Manifest, wanted: Wanted) -> bool:
    """Whether the checkpoint, in a model for this store's classes, is its teacher, normalised as a dump would do it."""
    assert wanted.teacher is not None
    assert wanted.checkpoint is not None
    channels = manifest.source.channels
    try:
        loaded = load_model(wanted.teacher, wanted.checkpoint, classes=manifest.classes, channels=channels)
    except ModelError:
        return False
    if fingerprint(loaded.model) != manifest.teacher.fingerprint:
        return False
    usual = usual_normalise(SourceSpec(data=wanted.data, root=wanted.root)) if wanted.data is not None else None
    taken = wanted.normalise or loaded.normalise or usual
    return taken is None or _is_normalised_by(manifest, taken)
