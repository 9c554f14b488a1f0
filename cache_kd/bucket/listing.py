"""The stores below one root, a folder or a bucket: what a team shares."""

from pathlib import Path

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.remote import remote_stores
from cache_kd.store.catalog import Entry, stores


def stores_at(root: Path | str) -> list[Entry]:
    """The stores at or below `root`, by place; a damaged one is listed with its fault.

    Of a bucket only names and manifests are asked for.

    Raises:
        StoreError: `root` is not a folder, or a bucket that cannot be read.
    """
    return remote_stores(Bucket.open(root)) if isinstance(root, str) else stores(root)
