"""Removes a store from a bucket, or what an upload that nobody finished has left there: its own objects, no others."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cache_kd.bucket.bucket import Bucket, Found
from cache_kd.bucket.mark import MEND, accounted, content_of, find_mark, mark_of_removal, marked_objects
from cache_kd.bucket.remote import find_remote, objects_below, store_prefixes
from cache_kd.errors import StoreBusy, StoreError, StoreIncomplete
from cache_kd.store.catalog import Entry
from cache_kd.store.manifest import CREATING, ROOT_FILE
from cache_kd.store.record import FOLDER
from cache_kd.store.removal import Remains


@dataclass(frozen=True, kw_only=True)
class RemoteRemains(Remains):
    """What of a folder of a bucket is a store's, or an upload's, and would go.

    Attributes:
        objects: those of `files`, as they were listed.
    """

    objects: Mapping[str, Found]


def survey_remote(url: str, *, force: bool = False) -> RemoteRemains:
    """What would be removed of the store at `url`, and what would stay.

    Args:
        url: of the store.
        force: whoever reads it elsewhere cannot be seen, so that nothing is to be deleted without.

    Raises:
        StoreBusy: not forced.
        StoreIncomplete: nothing is there.
        StoreError: a newer release wrote it, nothing says which objects are its own, or the bucket cannot be read.
        StoreDamaged: its manifest is damaged.
    """
    if not force:
        raise StoreBusy(
            f"{url}: who reads or copies a store in a bucket cannot be seen from here. If nobody does, pass --force; "
            "copies that are whole are not touched."
        )
    return _survey(Bucket.open(url), in_use_too=True)


def remove_remote(url: str, *, force: bool = False) -> RemoteRemains:
    """Delete the store at `url`, its manifest first; repeated after an interruption it goes on.

    Raises:
        StoreError: see `survey_remote`; or an object cannot be deleted.
    """
    remains = survey_remote(url, force=force)
    bucket = Bucket.open(url)
    if remote := find_remote(bucket):
        # what an interrupted removal leaves is then known for what it is
        mark, before = mark_of_removal(remote.manifest), find_mark(bucket)
        bucket.write(CREATING, content_of(mark.and_of(before) if before else mark))
    bucket.delete([*(name for name in remains.files if name != CREATING), CREATING])
    return remains


def abandoned_remote(root: str, *, older_than: float) -> list[RemoteRemains]:
    """The uploads at or below `root` that began, never finished, and to which nothing was written for so many seconds.

    Of a store to which views were being added only what is not in use is among the files.

    Raises:
        StoreError: the bucket cannot be read.
    """
    found = (remains for remains in _begun(root) if isinstance(remains, RemoteRemains))
    return [remains for remains in found if remains.idle >= older_than]


def unclear_uploads(root: str) -> list[Entry]:
    """The uploads at or below `root` of which nobody can say what is theirs, each with its fault.

    Raises:
        StoreError: the bucket cannot be read.
    """
    return [entry for entry in _begun(root) if isinstance(entry, Entry)]


def remove_upload(found: RemoteRemains) -> RemoteRemains:
    """Delete what `abandoned_remote` found, the mark of the upload last, unless anything of it has changed since.

    Raises:
        StoreBusy: it has.
        StoreError: an object cannot be deleted.
    """
    bucket = Bucket.open(str(found.path))
    if _survey(bucket, in_use_too=False).objects != found.objects:
        raise StoreBusy(f"{found.path} was written to since it was listed; nothing of it was deleted.")
    bucket.delete(found.files)
    return found


def _begun(root: str) -> Iterator[RemoteRemains | Entry]:
    """What each upload at or below `root` has left; an entry with the fault where nobody can say."""
    bucket = Bucket.open(root)
    names = bucket.listing()
    for folder in store_prefixes(names):
        objects = objects_below(folder, names)
        if CREATING not in objects:
            continue
        try:
            yield _survey(bucket.below(folder), in_use_too=False)
        except StoreError as fault:
            size = sum(found.size for found in objects.values())
            yield Entry(path=bucket.below(folder).url, manifest=None, complete=0, bytes=size, fault=str(fault))


def _survey(bucket: Bucket, *, in_use_too: bool) -> RemoteRemains:
    """Of a store, or of an upload that has not finished, every object; or only those that no manifest accounts for."""
    names = bucket.listing()
    remote, mark = find_remote(bucket), find_mark(bucket)
    if remote is None and mark is None:
        raise StoreIncomplete(f"{bucket.url}: there is no store.")
    in_use = accounted(remote.manifest) & names.keys() if remote else set()
    uploaded = marked_objects(mark, bucket.url) & names.keys() - in_use if mark else set()
    if remote is None and mark is not None and not mark.manifests:
        raise StoreError(f"{bucket.url}: its mark {CREATING} does not say which objects are the upload's. {MEND}")
    mine = uploaded | (in_use if in_use_too else set()) | ({CREATING} & names.keys() if mark else set())
    return RemoteRemains(
        path=bucket.url,
        store_id=remote.manifest.store_id if remote else None,
        written=remote.complete if remote else 0.0,
        files=tuple(sorted(mine, key=_order)),
        bytes=sum(names[name].size for name in mine),
        foreign=tuple(sorted(names.keys() - mine - in_use)),
        idle=time.time() - max((names[name].written for name in mine), default=0.0),
        objects={name: names[name] for name in mine},
    )


def _order(name: str) -> tuple[int, str]:
    """The manifest first, so that nobody begins to read; then records, rows, and the mark that all is to go."""
    if name == CREATING:
        return 3, name
    return (0 if name == ROOT_FILE else 1 if name.startswith(f"{FOLDER}/") else 2), name
