"""Everything that makes a store's numbers reproducible, as one self-checking JSON in the root group's attributes."""

import datetime
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator

from cache_kd.config import Config, build, canonical_json, parse_json
from cache_kd.errors import ConfigError, StoreDamaged, StoreError, StoreIncomplete
from cache_kd.shell import decode_knobs, options
from cache_kd.store.codec import make_codec
from cache_kd.store.fidelity import Fidelity, exact_rows
from cache_kd.store.layout import Layout, Shard, choose_layout
from cache_kd.store.migration import identity_of_version_2, migrated
from cache_kd.store.row_order import RowOrder, RowOrderKind
from cache_kd.types import Samples

FORMAT = "cache_kd-store"

ATTRIBUTE = "cache_kd"  # the key of the root group's attributes that holds the manifest
ROOT_FILE = "zarr.json"  # of the root group; its presence with a manifest is what makes a folder a store
CREATING = "creating.json"  # stands in the folder from before the first array until after the manifest
LOCK = "writing.lock"  # held while a dump writes; the file may stay, only the lock on it counts

# A part but `train` stands in a folder of its name, beside these: no name leads out of the store or into another array.
PART_NAME = re.compile("[A-Za-z0-9_-]+")
NO_PART_NAMES = ("logits", "view_digest", "labels", "samples", "exact", "knobs", "witness", "done")

# proven: the store's own dump showed its teacher the pixels that the digests are of; unproven: the logits were made
# elsewhere, and the digests are of what the recipe rendered when they were imported
Alignment = Literal["proven", "unproven"]

Average = Literal["logits", "probabilities"]  # what of several teachers is averaged; see `ensemble.average`

PositiveInt = Annotated[int, Field(ge=1)]


class Part(Config):
    """The rows of one split: `train` in V augmented views, or `test` in one plain view."""

    samples: PositiveInt
    views: PositiveInt
    fingerprint: str  # of the images and labels of this split
    chunk_rows: PositiveInt
    shard_rows: PositiveInt
    row_order: RowOrderKind = "keyed"

    @property
    def layout(self) -> Layout:
        """How the rows are cut."""
        return Layout(samples=self.samples, views=self.views, chunk_rows=self.chunk_rows, shard_rows=self.shard_rows)


class StoredDecoding(Config):
    """How image files became pixels: decoder and orientation decide."""

    backend: str
    orientation: str
    unreadable: str  # stop or skip, as the user chose; what was left out is in `StoredSource.skipped`


class StoredSource(Config):
    """Which images: where they were is informative, the parts' fingerprints decide."""

    spec: dict[str, Any]
    classes: PositiveInt
    class_names: tuple[str, ...] | None
    channels: PositiveInt
    decode: StoredDecoding | None = None  # None where the source holds pixels, not files
    # files of each part that could not be decoded, relative to its folder
    skipped: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class StoredTeacher(Config):
    """Whose logits: where the weights were is informative, their fingerprint decides."""

    name: str
    fingerprint: str
    checkpoint: str
    normalise: dict[str, Any]
    precision: Literal["float32", "bf16"]


class StoredMember(Config):
    """One of the stores that an ensemble's logits are the mean of, as it was then."""

    path: str
    store_id: str
    teacher: str
    share: Annotated[float, Field(gt=0, le=1)]  # of the mean; those of all members add up to 1


class StoredEnsemble(Config):
    """Whose mean the logits are; informative, for the teacher's fingerprint covers what decides them."""

    average: Average
    members: tuple[StoredMember, ...]


class Difference(NamedTuple):
    """One field that decides numbers, with both its values; None where a side has no such field."""

    field: str
    stored: Any
    asked: Any


class Manifest(Config):
    """What a store says of itself."""

    format: Literal["cache_kd-store"] = "cache_kd-store"
    version: Literal[3] = 3
    store_id: str
    parts: dict[str, Part]
    source: StoredSource
    recipe: dict[str, Any]
    seed: int
    teacher: StoredTeacher
    codec: dict[str, Any]
    alignment: Alignment = "proven"
    ensemble: StoredEnsemble | None = None  # None: the logits of one teacher
    knobs: Annotated[int, Field(ge=0)] = 0  # numbers kept for each train view, which its recipe reads; 0: none
    exact_rows: Annotated[int, Field(ge=0)] = 0  # the first rows of train view 0, which are kept as float32 too
    fidelity: Fidelity | None = None  # of the codec on those rows, measured when they were written
    environment: dict[str, str]  # device and library versions of the dump; informative
    created: str  # when, in UTC, ISO 8601; informative

    @field_validator("parts")
    @classmethod
    def _refuse_names_that_are_no_folders(cls, parts: dict[str, Part]) -> dict[str, Part]:
        for name in parts:
            if not PART_NAME.fullmatch(name) or name in NO_PART_NAMES:
                raise ValueError(
                    f"a part is called {name!r}; expected letters, digits, - and _, and none of "
                    f"{', '.join(NO_PART_NAMES)}. No release of cache_kd writes such a store: do not use it"
                )
        return parts

    @property
    def classes(self) -> int:
        """Logits per row."""
        return self.source.classes

    def row_order(self, part: str) -> RowOrder:
        """Which sample stands in which row of `part`."""
        entry = self.parts[part]
        return RowOrder(kind=entry.row_order, seed=self.seed, samples=entry.samples)

    def samples_of(self, shard: Shard) -> Samples:
        """The samples that stand in the rows of `shard`, in their order."""
        return self.row_order(shard.part).sample_of_row[shard.start : shard.stop]

    def identity(self) -> dict[str, Any]:
        """What decides numbers: not how rows are laid out, nor the number of views, because views can be added."""
        decode = self.source.decode
        return {
            "teacher": self.teacher.model_dump(mode="json", exclude={"checkpoint"}),
            "parts": {
                name: part.model_dump(mode="json", include={"samples", "fingerprint"})
                for name, part in self.parts.items()
            },
            "classes": self.classes,
            "recipe": self.recipe,
            "seed": self.seed,
            "codec": self.codec,
            **({"decode": decode.model_dump(mode="json", exclude={"unreadable"})} if decode else {}),
            **({"alignment": self.alignment} if self.alignment == "unproven" else {}),
        }

    def with_views_of(self, other: "Manifest") -> "Manifest":
        """This manifest with as many views in each part as the larger of the two has."""
        parts = {
            name: part.model_copy(update={"views": max(part.views, other.parts[name].views)})
            for name, part in self.parts.items()
        }
        return self.model_copy(update={"parts": parts})

    def cut_like(self, other: "Manifest") -> bool:
        """Whether rows are cut and ordered as in `other`, however many views there are."""
        mine, others = (
            {name: part.model_dump(exclude={"views"}) for name, part in manifest.parts.items()}
            for manifest in (self, other)
        )
        return mine == others

    def fits_files_of(self, other: "Manifest") -> bool:
        """Whether files of a store of `other` may stand in this one: their names, rows and records are alike."""
        return self.store_id == other.store_id and self.cut_like(other)

    def dump_command(self, path: Path) -> str:
        """The command that dumps this store, or finishes it."""
        if self.ensemble is not None:
            return self._merge_command(self.ensemble, path)
        if self.alignment == "unproven":
            return f"kdcache import LOGITS --from torch|npy|fkd … --store {path}, as before"
        decode = self.source.decode
        knobs = {
            "data": self.source.spec.get("data"),
            "root": self.source.spec.get("root"),
            "teacher": self.teacher.name,
            "checkpoint": self.teacher.checkpoint,
            "normalise": canonical_json(self.teacher.normalise),
            "precision": self.teacher.precision,
            "recipe": canonical_json(self.recipe),
            "seed": self.seed,
            "views": self.parts["train"].views,
            "codec": self._codec_word(),
            "store": path,
            **decode_knobs(decode.model_dump() if decode else None),
        }
        return f"kdcache dump {options(knobs)}"

    def _merge_command(self, ensemble: StoredEnsemble, path: Path) -> str:
        knobs = {
            "weights": ",".join(str(member.share) for member in ensemble.members),
            "average": ensemble.average,
            "normalise": canonical_json(self.teacher.normalise),
            "codec": self._codec_word(),
            "store": path,
        }
        return f"kdcache merge {' '.join(shlex.quote(member.path) for member in ensemble.members)} {options(knobs)}"

    def _codec_word(self) -> str:
        """What --codec takes."""
        return canonical_json(self.codec) if self.codec.keys() - {"name", "version"} else str(self.codec["name"])


def new_manifest(
    *,
    samples: Mapping[str, int],
    fingerprints: Mapping[str, str],
    views: int,
    classes: int,
    class_names: Sequence[str] | None,
    channels: int,
    source_spec: Mapping[str, Any],
    decode: Mapping[str, Any] | None = None,
    skipped: Mapping[str, Sequence[str]] | None = None,
    recipe: Mapping[str, Any],
    seed: int,
    teacher: Mapping[str, Any],
    codec: Mapping[str, Any],
    alignment: Alignment = "proven",
    ensemble: Mapping[str, Any] | None = None,
    knobs: int = 0,
    environment: Mapping[str, str],
) -> Manifest:
    """The manifest of a store that is to be written now.

    Args:
        samples: of each part; `train` gets `views` views, any other part one.
        fingerprints: of each part's images and labels.
        views: of the train part.
        classes: logits per row.
        class_names: in the order of the logits, where they are known.
        channels: of the images.
        source_spec: where the images are, for whoever opens them again.
        decode: the fields of `StoredDecoding`, where the images are files.
        skipped: files of each part that could not be decoded and were left out.
        recipe: how views are made.
        seed: of the views.
        teacher: the fields of `StoredTeacher`.
        codec: what `Codec.to_json` gives.
        alignment: whether the digests are of the pixels that the teacher saw.
        ensemble: the fields of `StoredEnsemble`, where the logits are the mean of several teachers'.
        knobs: numbers that are kept for each train view, for a recipe that reads them instead of drawing.
        environment: device and library versions.

    Raises:
        ConfigError: a value does not fit.
    """
    parts = {}
    kept = make_codec(codec)
    row_bytes = kept.widest_bytes(classes)
    for name, count in samples.items():
        layout = choose_layout(count, views=views if name == "train" else 1, row_bytes=row_bytes)
        parts[name] = {**vars(layout), "fingerprint": fingerprints[name]}
    source = {
        "spec": dict(source_spec),
        "classes": classes,
        "class_names": class_names,
        "channels": channels,
        "decode": decode,
        "skipped": skipped or {},
    }
    described = {
        "store_id": "",
        "parts": parts,
        "source": source,
        "recipe": dict(recipe),
        "seed": seed,
        "teacher": dict(teacher),
        "codec": dict(codec),
        "alignment": alignment,
        "ensemble": ensemble,
        "knobs": knobs,
        "exact_rows": 0 if kept.lossless else exact_rows(min(parts["train"]["shard_rows"], samples["train"]), classes),
        "environment": dict(environment),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    manifest = build(Manifest, described)
    return manifest.model_copy(update={"store_id": _store_ids(manifest)[0]})


def differences(stored: Manifest, asked: Manifest) -> list[Difference]:
    """Every field of the two identities that differs, sorted by its dotted name."""
    before, after = _flat(stored.identity()), _flat(asked.identity())
    return [
        Difference(field, before.get(field), after.get(field))
        for field in sorted(before.keys() | after.keys())
        if before.get(field) != after.get(field)
    ]


def root_file(manifest: Manifest) -> bytes:
    """The content of the root group's file: Zarr's own words, and the sealed manifest."""
    group = {"zarr_format": 3, "node_type": "group", "attributes": {ATTRIBUTE: seal(manifest)}}
    return json.dumps(group, indent=2, allow_nan=False).encode()


def read_manifest(path: Path) -> Manifest:
    """The manifest of the store at `path`.

    Raises:
        StoreError: there is no store, or a newer or a much older release wrote it.
        StoreIncomplete: a dump was interrupted while it began.
        StoreDamaged: the manifest is not the one that was written.
    """
    try:
        content = (path / ROOT_FILE).read_bytes()
    except OSError as fault:
        raise _no_store(path, fault) from None
    return parse_manifest(content, path)


def parse_manifest(content: bytes, origin: Path | str) -> Manifest:
    """The manifest in a root group's file, which was found in `origin`: a folder, or the URL of a store in a bucket.

    Raises:
        StoreError: it is no store's, or a newer or a much older release wrote it.
        StoreDamaged: the manifest is not the one that was written.
    """
    found = _attribute_in(content, origin)
    try:
        return unseal(found, origin)
    except ConfigError as fault:
        raise _damaged(origin, str(fault)) from None


def seal(manifest: Manifest) -> dict[str, Any]:
    """A manifest as JSON that can be stored anywhere: its fields, and a digest of them."""
    content = manifest.model_dump(mode="json")
    return {**content, "digest": _digest(content)}


def unseal(sealed: Mapping[str, Any], origin: Path | str) -> Manifest:
    """The manifest that `seal` made into `sealed`, which was found in `origin`; see `migration` for older ones.

    Raises:
        StoreError: a newer or a much older release sealed it.
        ConfigError: it is not what was sealed.
    """
    content = {name: value for name, value in sealed.items() if name != "digest"}
    words = migrated(content, origin)
    if not _is_digest_of(content, sealed.get("digest")):
        raise ConfigError("its digest does not match its content")
    manifest = build(Manifest, words)
    if manifest.store_id not in _store_ids(manifest):
        raise ConfigError(f"the id {manifest.store_id} is not the one of its content, {_store_ids(manifest)[0]}")
    return manifest


def _attribute_in(content: bytes, origin: Path | str) -> dict[str, Any]:
    try:
        group = parse_json(content)
    except ValueError:
        raise _damaged(origin, f"{len(content)} bytes that are not JSON") from None
    attributes = group.get("attributes") if isinstance(group, dict) else None
    found = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StoreError(f"{origin} is Zarr, but not a store of cache_kd: its {ROOT_FILE} has no {FORMAT!r} manifest.")
    return found


def _no_store(path: Path, fault: OSError) -> StoreError:
    if isinstance(fault, NotADirectoryError):
        return StoreError(f"{path} is a file; a store is a folder. Pass the folder that kdcache dump wrote.")
    if not isinstance(fault, FileNotFoundError):
        return StoreError(f"{path / ROOT_FILE} cannot be read: {fault.strerror}.")
    if not path.is_dir():
        return StoreError(
            f"{path} does not exist. `kdcache dump --store {path}` with --data, --teacher and --checkpoint "
            f"writes a store there; `kdcache ls {path.parent}` lists the ones beside it."
        )
    if (path / CREATING).exists():
        return StoreIncomplete(f"{path}: its dump was interrupted at the very start. Run the same dump again.")
    return StoreError(f"{path} is a folder, but not a store: it has no {ROOT_FILE}.")


def _damaged(origin: Path | str, what: str) -> StoreDamaged:
    return StoreDamaged(
        f"{origin}/{ROOT_FILE}: the manifest is damaged ({what}). Restore that file from a copy, "
        "or dump again to another --store."
    )


def _store_ids(manifest: Manifest) -> tuple[str, str]:
    """The id of a new store, and the one it had in version 2, which its completion records keep.

    16 hexadecimal digits: any two of a million stores share them with probability 3e-8.
    """
    identity, content = manifest.identity(), manifest.model_dump(mode="json")
    before = identity_of_version_2(identity, content["parts"])
    return _digest(identity)[:16], _digest(before)[:16]


def _digest(content: Any) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _is_digest_of(content: Any, digest: Any) -> bool:
    """Whether `digest` is the one of `content`; what has none, as a NaN or half a character, was never sealed."""
    try:
        return bool(digest == _digest(content))
    except (ValueError, RecursionError):
        return False


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, entry in value.items():
        flat |= _flat(entry, f"{prefix}{name}.") if isinstance(entry, Mapping) else {f"{prefix}{name}": entry}
    return flat
