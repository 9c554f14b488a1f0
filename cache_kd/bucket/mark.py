"""The mark in a bucket while a store is uploaded or removed there: who is at it, and which objects are its own."""

import datetime
import hashlib
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cache_kd.bucket.bucket import Bucket
from cache_kd.config import Config
from cache_kd.errors import ConfigError, StoreError
from cache_kd.store.arrays import metadata_files
from cache_kd.store.manifest import CREATING, ROOT_FILE, Manifest, seal, unseal
from cache_kd.store.record import pieces

# where nobody knows which objects are an upload's
MEND = "Finish that upload (kdcache push from the folder that it came from), or delete the objects yourself."


class Mark(Config):
    """What `creating.json` says in a bucket."""

    store_id: str | None = None
    bytes: str | None = None  # digest of the records that are being uploaded; None: not an upload
    by: str = "somebody"
    since: str = "some time"
    manifests: tuple[dict[str, Any], ...] = ()  # sealed; what one of them accounts for may be deleted

    def and_of(self, other: "Mark") -> "Mark":
        """This mark, of the objects of `other` too."""
        others = tuple(sealed for sealed in other.manifests if sealed not in self.manifests)
        return self.model_copy(update={"manifests": (*others, *self.manifests)})


def content_of(mark: Mark) -> bytes:
    """The object that `find_mark` finds it in."""
    return mark.model_dump_json(exclude_none=True).encode()


def mark_of_upload(path: Path, manifest: Manifest, records: Iterable[bytes]) -> Mark:
    """The mark of an upload of the store at `path`, with these completion records, that begins now."""
    return Mark(
        store_id=manifest.store_id,
        bytes=hashlib.sha256(b"".join(records)).hexdigest(),
        by=f"{socket.gethostname()}:{path.resolve()}",
        since=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        manifests=(seal(manifest),),
    )


def mark_of_removal(manifest: Manifest) -> Mark:
    """The mark of a removal of the store of this manifest."""
    return Mark(store_id=manifest.store_id, by="kdcache rm", manifests=(seal(manifest),))


def find_mark(bucket: Bucket) -> Mark | None:
    """The mark that stands there; an empty one where nobody can read it, and None where there is none.

    Raises:
        StoreError: the bucket cannot be read.
    """
    content = bucket.find(CREATING)
    if content is None:
        return None
    try:
        return Mark.model_validate_json(content)
    except ValidationError:
        return Mark()


def marked_objects(mark: Mark, url: str) -> set[str]:
    """Every object that may have been uploaded under `mark`, which stands at `url`; none where it does not say so.

    Raises:
        StoreError: a newer release wrote it, or it is damaged.
    """
    try:
        manifests = [unseal(sealed, url) for sealed in mark.manifests]
    except ConfigError as fault:
        raise StoreError(f"{url}/{CREATING} is damaged: {fault}. {MEND}") from None
    return set().union(*map(accounted, manifests))


def accounted(manifest: Manifest) -> set[str]:
    """Every object that a store of this manifest has."""
    of_pieces = (name for piece in pieces(manifest) for name in (piece.record, *piece.files))
    return {ROOT_FILE, *metadata_files(manifest), *of_pieces}
