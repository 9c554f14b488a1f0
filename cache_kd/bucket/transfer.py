"""What went over the wire between a folder of this machine and a bucket, and which names may come from there."""

from pathlib import PurePosixPath

from cache_kd.config import Config
from cache_kd.errors import StoreError
from cache_kd.store.manifest import Manifest
from cache_kd.store.record import pieces


class Transfer(Config):
    """One store that was copied, for scripts."""

    store: str  # the folder on this machine
    url: str
    store_id: str
    views: int
    files: int  # that were copied now; none: everything was there
    bytes: int  # of these


def refuse_stray_names(manifest: Manifest, url: str) -> None:
    """Refuse a manifest whose names would lead out of the folder that its store is copied to.

    Raises:
        StoreError: one would; no file has been written.
    """
    for piece in pieces(manifest):
        for name in (piece.record, *piece.files):
            place = PurePosixPath(name)
            if place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name:
                raise StoreError(
                    f"{url}: its manifest names the file {name!r}, which would lead out of the store's folder. "
                    "Nothing was copied. No release of cache_kd writes such a store: do not use it."
                )


def amount(files: int, size: int) -> str:
    """Files and their bytes for a person.

    >>> amount(412, 1_234_567_890)
    '412 files, 1,234.6 MB'
    """
    return f"{files:,} files, {size / 1e6:,.1f} MB"
