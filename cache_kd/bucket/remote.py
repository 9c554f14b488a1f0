"""A store in a bucket as its manifest and the names of its objects show it; no row is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass

from cache_kd.bucket.bucket import Bucket, Found
from cache_kd.bucket.parallel import in_parallel
from cache_kd.errors import KdCacheError, StoreIncomplete
from cache_kd.store.arrays import metadata_files
from cache_kd.store.catalog import Entry
from cache_kd.store.manifest import CREATING, FORMAT, ROOT_FILE, Manifest, differences, parse_manifest
from cache_kd.store.record import FOLDER, Piece, pieces


@dataclass(frozen=True, kw_only=True)
class RemoteStore:
    """What is known of a store without its rows.

    Attributes:
        bucket: the folder of the store.
        manifest: as it stands there.
        found: every object below, by its name.
    """

    bucket: Bucket
    manifest: Manifest
    found: Mapping[str, Found]

    @property
    def complete(self) -> float:
        """The share of shards, label and witness files that are there with their records, 0 to 1."""
        every = list(pieces(self.manifest))
        return sum(self.has(piece) for piece in every) / len(every)

    @property
    def bytes(self) -> int:
        """Of all objects."""
        return sum(found.size for found in self.found.values())

    def has(self, piece: Piece) -> bool:
        """Whether the record and every file of `piece` is there."""
        return all(name in self.found for name in (piece.record, *piece.files))

    def holds(self, asked: Manifest) -> bool:
        """Whether it is finished and has every number that `asked` describes."""
        return (
            not differences(self.manifest, asked)
            and self.manifest == self.manifest.with_views_of(asked)
            and self.complete == 1
            and all(file in self.found for file in metadata_files(self.manifest))
        )


def find_remote(bucket: Bucket) -> RemoteStore | None:
    """The store in this folder of a bucket; None where no manifest stands.

    Raises:
        StoreError: another release wrote it, or the bucket cannot be read.
        StoreDamaged: its manifest is not the one that was written.
    """
    found = bucket.listing()
    if ROOT_FILE not in found:
        return None
    return RemoteStore(bucket=bucket, manifest=parse_manifest(bucket.read(ROOT_FILE), bucket.url), found=found)


def open_remote(url: str) -> RemoteStore:
    """The store at `url`.

    Raises:
        StoreIncomplete: nothing is there, or an upload that has not finished.
        StoreError: see `find_remote`.
    """
    bucket = Bucket.open(url)
    remote = find_remote(bucket)
    if remote is None:
        begun = CREATING in bucket.listing()
        what = "its upload has not finished. Run it again where it ran" if begun else "there is no store"
        raise StoreIncomplete(f"{url}: {what}; `kdcache ls {url.rpartition('/')[0]}` lists the ones beside it.")
    return remote


def remote_stores(root: Bucket) -> list[Entry]:
    """The stores at or below a folder of a bucket, by URL; a damaged or unfinished one is listed with its fault.

    One listing, and the manifest of each.

    Raises:
        StoreError: the bucket cannot be read.
    """
    found = root.listing()
    return [entry for entry in in_parallel(lambda folder: _entry(root, folder, found), store_prefixes(found)) if entry]


def store_prefixes(names: Mapping[str, Found]) -> list[str]:
    """The folders of a listing that have a manifest's file, or began to be stores; nothing below one is looked at."""
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in (ROOT_FILE, CREATING)}
    return sorted(folder for folder in folders if not any(above in folders for above in _above(folder)))


def objects_below(folder: str, names: Mapping[str, Found]) -> dict[str, Found]:
    """The part of a listing that is in `folder`, by names below it."""
    prefix = f"{folder}/" if folder else ""
    return {name[len(prefix) :]: found for name, found in names.items() if name.startswith(prefix)}


def _above(folder: str) -> list[str]:
    """Every folder that `folder` is in; the root is the empty name.

    >>> _above("ada/resnet20")
    ['', 'ada']
    """
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:count]) for count in range(len(parts))]


def _entry(root: Bucket, folder: str, names: Mapping[str, Found]) -> Entry | None:
    """None for Zarr of somebody else's."""
    bucket, found = root.below(folder), objects_below(folder, names)
    size = sum(one.size for one in found.values())
    if ROOT_FILE not in found:
        return Entry(path=bucket.url, manifest=None, complete=0, bytes=size, fault="its upload has not finished")
    content = bucket.read(ROOT_FILE)
    if FORMAT.encode() not in content and not any(name.startswith(f"{FOLDER}/") for name in found):
        return None
    try:
        manifest = parse_manifest(content, bucket.url)
        complete = RemoteStore(bucket=bucket, manifest=manifest, found=found).complete
    except KdCacheError as fault:
        return Entry(path=bucket.url, manifest=None, complete=0, bytes=size, fault=str(fault))
    return Entry(path=bucket.url, manifest=manifest, complete=complete, bytes=size, fault=None)
