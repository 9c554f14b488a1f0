"""A bucket that is a real object store: a folder behind a file:/// URL, as obstore sees it."""

import os
from contextlib import contextmanager
from pathlib import Path

import obstore
import pytest

from cache_kd.bucket.bucket import Bucket


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """Nobody pulls the plug here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The folder in which this test's machine keeps its copies."""
    place = tmp_path / "home"
    monkeypatch.setenv("KDCACHE_HOME", str(place))
    return place


@pytest.fixture
def bucket(tmp_path):
    """The URL of an empty bucket."""
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def as_folder(tmp_path):
    """A function of a file:/// URL: the folder behind it."""
    return lambda url: Path(url.removeprefix("file://"))


@pytest.fixture
def files_of():
    """A function that gives every file of a store, but for the lock: place -> bytes."""

    def read(path):
        files = (file for file in path.rglob("*") if file.is_file() and file.name != "writing.lock")
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}

    return read


class Killed(BaseException):
    """Stands for whatever ends a process."""


@pytest.fixture
def interrupted(monkeypatch):
    """A context in which the process ends once it has written, or read, so many objects."""

    @contextmanager
    def after(count, verb="write"):
        original, left = getattr(Bucket, verb), iter(range(count))

        def counted(self, name, *content):
            if next(left, None) is None:
                raise Killed
            return original(self, name, *content)

        with monkeypatch.context() as patch:
            patch.setattr(Bucket, verb, counted)
            with pytest.raises(Killed):
                yield

    return after


@pytest.fixture
def requests(monkeypatch):
    """Every request to a bucket from now on, as (verb, object)."""
    asked = []
    for verb in ("get", "put", "delete", "list"):
        original = getattr(obstore, verb)

        def counted(store, name, *more, verb=verb, original=original, **options):
            asked.append((verb, name))
            return original(store, name, *more, **options)

        monkeypatch.setattr(obstore, verb, counted)
    return asked
