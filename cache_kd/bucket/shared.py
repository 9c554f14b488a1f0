"""The place of one dump in a catalog that is a bucket: a hit, a store to grow, or a new one."""

from dataclasses import dataclass
from pathlib import Path

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.copies import copy_folder, update_copy
from cache_kd.bucket.push import push
from cache_kd.bucket.remote import RemoteStore, open_remote, remote_stores
from cache_kd.progress import Progress
from cache_kd.store.catalog import store_name
from cache_kd.store.manifest import Manifest, differences


@dataclass(frozen=True, kw_only=True)
class SharedPlace:
    """Where the numbers of a dump are in a bucket, or are to be.

    Attributes:
        url: of the store.
        there: what the bucket has of them; None: nothing that is finished.
        path: of the folder of this machine in which a dump writes what is lacking.
    """

    url: str
    there: RemoteStore | None
    path: Path

    def hit(self, asked: Manifest) -> RemoteStore | None:
        """The store there, if it lacks nothing of what is asked."""
        return self.there if self.there and self.there.holds(asked) else None

    def fetch(self, progress: Progress) -> Path:
        """`path`, with the views that the bucket has, so that a dump adds the others.

        Raises:
            StoreError: they cannot be fetched.
        """
        return self.path if self.there is None else update_copy(self.there, progress)

    def publish(self, progress: Progress) -> None:
        """Upload what the dump has written; a part of an earlier upload is continued.

        Raises:
            StoreError: see `push`.
        """
        push(self.path, self.url, progress)


def shared_place(root: str, asked: Manifest) -> SharedPlace:
    """The store at or below the bucket's folder `root` that holds most of what `asked` describes, else a new place.

    Raises:
        StoreError: the bucket cannot be read.
    """
    same = [
        entry
        for entry in remote_stores(Bucket.open(root, create=True))
        if entry.manifest is not None and entry.complete == 1 and not differences(entry.manifest, asked)
    ]
    if not same:
        url = f"{root}/{store_name(asked)}"
        return SharedPlace(url=url, there=None, path=copy_folder(url, asked.store_id))
    most = max(same, key=lambda entry: entry.manifest.parts["train"].views if entry.manifest else 0)
    there = open_remote(str(most.path))
    return SharedPlace(url=there.bucket.url, there=there, path=copy_folder(there.bucket.url, there.manifest.store_id))
