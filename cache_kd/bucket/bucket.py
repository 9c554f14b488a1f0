"""One folder of a bucket: its objects listed, read, written and deleted, and what can go wrong there in words."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from cache_kd.errors import ConfigError, KdCacheError, StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

# scheme -> where its credentials come from
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; AWS_ENDPOINT_URL for MinIO and others",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "file": "the rights of that folder",
}

# with pauses that double from 0.1 s: a short outage is sat through, a wrong endpoint told within a minute
PATIENCE = timedelta(seconds=60)
RETRIES = 8


class Found(NamedTuple):
    """One object, as a listing shows it."""

    size: int  # bytes
    e_tag: str | None  # another one where other bytes were written
    written: float  # seconds since 1970


@dataclass(frozen=True)
class Bucket:
    """A folder of a bucket. Threads may share it; after a fork no process may use it.

    Attributes:
        url: for people.
    """

    url: str
    _objects: "ObjectStore"
    _prefix: str = ""  # of this folder, below what was opened

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> "Bucket":
        """The folder at `url`; nothing is asked of a cloud yet.

        Args:
            url: s3://, gs://, az:// with the bucket (of az: the container) and any folders below; or file:///.
            create: a file:/// folder that does not exist.

        Raises:
            ConfigError: no such scheme, or not enough is known to reach it.
            KdCacheError: the package for it is not installed.
        """
        scheme = url.partition("://")[0]
        if scheme not in CREDENTIALS:
            raise ConfigError(f"{url}: buckets are written as s3://, gs://, az:// or file:///.")
        from_url = _obstore("store").from_url
        with _in_words(url, raises=ConfigError):
            if scheme == "file":
                return cls(url, from_url(url, mkdir=create, automatic_cleanup=True))
            retries = {"max_retries": RETRIES, "retry_timeout": PATIENCE}
            # MinIO on one's own machine has no certificate
            plain = scheme == "s3" and os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
            return cls(url, from_url(url, client_options={"allow_http": plain}, retry_config=retries))

    def below(self, folder: str) -> "Bucket":
        """One of its folders; itself for an empty name."""
        if not folder:
            return self
        return Bucket(f"{self.url}/{folder}", self._objects, f"{self._prefix}{folder}/")

    def listing(self) -> dict[str, Found]:
        """Every object, by its name below this folder, sorted: one request for a thousand.

        Raises:
            StoreError: the bucket cannot be listed.
        """
        with _in_words(self.url):
            pages = list(_obstore().list(self._objects, self._prefix or None, chunk_size=1000))
        found = {
            meta["path"][len(self._prefix) :]: Found(meta["size"], meta["e_tag"], meta["last_modified"].timestamp())
            for page in pages
            for meta in page
        }
        return dict(sorted(found.items()))

    def read(self, name: str) -> bytes:
        """The content of one object.

        Raises:
            StoreError: there is none, or it cannot be read.
        """
        content = self.find(name)
        if content is None:
            raise StoreError(f"{self.url}/{name} does not exist.")
        return content

    def find(self, name: str) -> bytes | None:
        """The content of one object; None where there is none.

        Raises:
            StoreError: it cannot be read.
        """
        with _in_words(f"{self.url}/{name}"):
            try:
                return bytes(_obstore().get(self._objects, self._prefix + name).bytes())
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write one object, which appears whole, over whatever had its name.

        Raises:
            StoreError: it cannot be written.
        """
        with _in_words(f"{self.url}/{name}"):
            _obstore().put(self._objects, self._prefix + name, content)

    def write_new(self, name: str, content: bytes) -> bool:
        """Write one object unless there is one of that name; of several who try at once one succeeds.

        Raises:
            StoreError: it cannot be written.
        """
        already = _obstore("exceptions").AlreadyExistsError
        with _in_words(f"{self.url}/{name}"):
            try:
                _obstore().put(self._objects, self._prefix + name, content, mode="create")
            except already:
                return False
        return True

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is gone already is none that fails.

        Raises:
            StoreError: one cannot be deleted.
        """
        for name in names:
            with _in_words(f"{self.url}/{name}"):
                try:
                    _obstore().delete(self._objects, self._prefix + name)
                except FileNotFoundError:
                    continue


def _obstore(module: str = "") -> Any:
    """The package `obstore`, or a module of it; imported when a bucket is first used."""
    import importlib

    try:
        return importlib.import_module(f"obstore.{module}" if module else "obstore")
    except ImportError:
        raise KdCacheError(
            "Buckets need the package obstore, which is not installed: pip install 'cache_kd[bucket]'."
        ) from None


@contextmanager
def _in_words(url: str, raises: type[KdCacheError] = StoreError) -> Iterator[None]:
    """Turn what the library or the operating system says into one sentence with its mend."""
    base = _obstore("exceptions").BaseError
    try:
        yield
    except FileNotFoundError:
        raise StoreError(f"{url} does not exist.") from None
    except (base, OSError) as fault:
        first = str(fault).strip().partition("\n")[0].partition(": <?xml")[0].rstrip(".")
        if url.startswith("file:") and "No such file or directory" in str(fault):
            raise StoreError(f"{url} does not exist.") from None
        source = CREDENTIALS[url.partition("://")[0]]
        raise raises(f"{url} cannot be used: {first[:400]}. Access comes from the environment: {source}.") from fault
