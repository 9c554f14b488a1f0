"""Removes a store from a bucket, or what an upload that nobody finished has left there: its own objects, no others."""

import json
import time

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.remote import find_remote, objects_below, store_prefixes
from cache_kd.errors import StoreBusy, StoreIncomplete
from cache_kd.store.arrays import metadata_files
from cache_kd.store.folder import OURS
from cache_kd.store.manifest import CREATING, ROOT_FILE, Manifest
from cache_kd.store.record import FOLDER, pieces
from cache_kd.store.removal import Remains


def survey_remote(url: str, *, force: bool = False) -> Remains:
    """What would be removed of the store at `url`, and what would stay.

    Args:
        url: of the store.
        force: whoever reads it elsewhere cannot be seen, so that nothing is to be deleted without.

    Raises:
        StoreBusy: not forced.
        StoreIncomplete: nothing is there.
        StoreError: a newer release wrote it, or the bucket cannot be read.
        StoreDamaged: its manifest is damaged.
    """
    if not force:
        raise StoreBusy(
            f"{url}: who reads or copies a store in a bucket cannot be seen from here. If nobody does, pass --force; "
            "copies that are whole are not touched."
        )
    return _survey(Bucket.open(url), in_use_too=True)


def remove_remote(url: str, *, force: bool = False) -> Remains:
    """Delete the store at `url`, its manifest first; repeated after an interruption it goes on.

    Raises:
        StoreError: see `survey_remote`; or an object cannot be deleted.
    """
    remains = survey_remote(url, force=force)
    bucket = Bucket.open(url)
    # what an interrupted removal leaves is then known for what it is
    bucket.write_new(CREATING, json.dumps({"store_id": remains.store_id, "by": "kdcache rm"}).encode())
    bucket.delete([*(name for name in remains.files if name != CREATING), CREATING])
    return remains


def abandoned_remote(root: str, *, older_than: float) -> list[Remains]:
    """The uploads at or below `root` that began, never finished, and to which nothing was written for so many seconds.

    Of a store to which views were being added only what is not in use is among the files.

    Raises:
        StoreError: the bucket cannot be read.
    """
    bucket = Bucket.open(root)
    names = bucket.listing()
    begun = [folder for folder in store_prefixes(names) if CREATING in objects_below(folder, names)]
    found = [_survey(bucket.below(folder), in_use_too=False) for folder in begun]
    return [remains for remains in found if remains.idle >= older_than]


def remove_upload(remains: Remains) -> Remains:
    """Delete what `abandoned_remote` found, the mark of the upload last.

    Raises:
        StoreError: an object cannot be deleted.
    """
    Bucket.open(str(remains.path)).delete(remains.files)
    return remains


def _survey(bucket: Bucket, *, in_use_too: bool) -> Remains:
    """Of a store, or of an upload that has not finished, every object; or only those that no manifest accounts for."""
    names = bucket.listing()
    remote = find_remote(bucket)
    if remote is None and CREATING not in names:
        raise StoreIncomplete(f"{bucket.url}: there is no store.")
    in_use = _accounted(remote.manifest) & names.keys() if remote else set()
    # until a manifest says more, whatever stands in the folders of a store is the upload's
    uploading = {name for name in names if name.partition("/")[0] in OURS} - in_use if CREATING in names else set()
    mine = uploading | (in_use if in_use_too else set()) | ({CREATING} & names.keys())
    return Remains(
        path=bucket.url,
        store_id=remote.manifest.store_id if remote else None,
        written=remote.complete if remote else 0.0,
        files=tuple(sorted(mine, key=_order)),
        bytes=sum(names[name].size for name in mine),
        foreign=tuple(sorted(names.keys() - mine - in_use)),
        idle=time.time() - max(names[name].written for name in mine),
    )


def _accounted(manifest: Manifest) -> set[str]:
    """Every object that a store of this manifest has."""
    of_pieces = (name for piece in pieces(manifest) for name in (piece.record, *piece.files))
    return {ROOT_FILE, *metadata_files(manifest), *of_pieces}


def _order(name: str) -> tuple[int, str]:
    """The manifest first, so that nobody begins to read; then records, rows, and the mark that all is to go."""
    if name == CREATING:
        return 3, name
    return (0 if name == ROOT_FILE else 1 if name.startswith(f"{FOLDER}/") else 2), name
