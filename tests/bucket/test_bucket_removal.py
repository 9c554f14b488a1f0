"""What is deleted from a bucket is a store's own, or an upload's that nobody finished."""

import os
import shutil

import pytest

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.listing import stores_at
from cache_kd.bucket.push import push
from cache_kd.bucket.remote import open_remote
from cache_kd.bucket.removal import abandoned_remote, remove_remote, remove_upload
from cache_kd.dump import dump
from cache_kd.errors import StoreBusy, StoreIncomplete

DAY = 86_400.0


@pytest.fixture
def age(as_folder):
    """A function that lets every object of a bucket look older."""

    def back(url, days):
        for file in as_folder(url).rglob("*"):
            seconds = file.stat().st_mtime - days * DAY
            os.utime(file, (seconds, seconds))

    return back


def test_a_store_goes_whole_and_only_by_force(own_store, bucket, as_folder):
    push(own_store, f"{bucket}/a")
    (as_folder(bucket) / "a/notes.txt").write_text("mine")
    (as_folder(bucket) / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreBusy, match=r"cannot be seen from here.*--force"):
        remove_remote(f"{bucket}/a")
    removed = remove_remote(f"{bucket}/a", force=True)
    assert removed.foreign == ("notes.txt",)
    left = sorted(file.name for file in as_folder(bucket).rglob("*") if file.is_file())
    assert left == ["notes.txt", "thesis.tex"]
    with pytest.raises(StoreIncomplete, match="there is no store"):
        remove_remote(f"{bucket}/a", force=True)


def test_the_manifest_goes_first_and_an_interrupted_removal_goes_on(own_store, bucket, as_folder, monkeypatch):
    push(own_store, f"{bucket}/a")
    original, deleted = Bucket.delete, []

    def delete(self, names):
        for name in names:
            if len(deleted) == 20:
                raise KeyboardInterrupt
            deleted.append(name)
            original(self, [name])

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete", delete)
        with pytest.raises(KeyboardInterrupt):
            remove_remote(f"{bucket}/a", force=True)
    assert deleted[0] == "zarr.json"
    assert [entry.fault for entry in stores_at(bucket)] == ["its upload has not finished"]
    remove_remote(f"{bucket}/a", force=True)
    assert not [file for file in as_folder(bucket).rglob("*") if file.is_file()]


def test_uploads_that_nobody_finished_are_found_by_their_age(own_store, bucket, as_folder, interrupted, age):
    push(own_store, f"{bucket}/whole")
    with interrupted(12):
        push(own_store, f"{bucket}/begun")
    assert abandoned_remote(bucket, older_than=DAY) == []
    age(bucket, 2)
    (found,) = abandoned_remote(bucket, older_than=DAY)
    assert found.path == f"{bucket}/begun"
    assert 12 < len(found.files) < 30
    remove_upload(found)
    assert [entry.path for entry in stores_at(bucket)] == [f"{bucket}/whole"]
    assert not list((as_folder(bucket) / "begun").iterdir())


def test_of_views_that_were_being_added_only_these_go(
    own_store, dump_config, bucket, as_folder, interrupted, age, tmp_path, files_of
):
    push(own_store, f"{bucket}/a")
    grown = shutil.copytree(own_store, tmp_path / "grown")
    dump(dump_config(grown, views=3))
    with interrupted(12):
        push(grown, f"{bucket}/a")
    assert files_of(as_folder(bucket) / "a") != files_of(own_store)
    age(bucket, 2)
    (found,) = abandoned_remote(bucket, older_than=DAY)
    remove_upload(found)
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)
    assert open_remote(f"{bucket}/a").complete == 1
