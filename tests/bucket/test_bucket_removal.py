"""What is deleted from a bucket is a store's own, or an upload's that nobody finished."""

import json
import os
import shutil

import pytest

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.listing import stores_at
from cache_kd.bucket.push import push
from cache_kd.bucket.remote import open_remote
from cache_kd.bucket.removal import abandoned_remote, remove_remote, remove_upload, unclear_uploads
from cache_kd.dump import dump
from cache_kd.errors import StoreBusy, StoreError, StoreIncomplete

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


@pytest.fixture
def half_grown(own_store, dump_config, bucket, interrupted, tmp_path):
    """The URL of a store of two views to which the upload of a third was interrupted."""
    push(own_store, f"{bucket}/a")
    grown = shutil.copytree(own_store, tmp_path / "grown")
    dump(dump_config(grown, views=3))
    with interrupted(12):
        push(grown, f"{bucket}/a")
    return f"{bucket}/a"


@pytest.mark.parametrize("theirs", ["test/photo.png", "labels/notes.csv"])
def test_the_manifest_goes_first_and_an_interrupted_removal_goes_on(half_grown, bucket, as_folder, monkeypatch, theirs):
    original, deleted = Bucket.delete, []
    (as_folder(half_grown) / theirs).write_text("mine")

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
    assert remove_remote(f"{bucket}/a", force=True).foreign == (theirs,)
    left = [file for file in as_folder(bucket).rglob("*") if file.is_file()]
    assert left == [as_folder(half_grown) / theirs]


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


@pytest.mark.parametrize("objects", [2, None])
def test_an_upload_that_somebody_went_on_with_since_it_was_listed_stays(
    own_store, bucket, as_folder, interrupted, files_of, objects
):
    with interrupted(12):
        push(own_store, f"{bucket}/a")
    (found,) = abandoned_remote(bucket, older_than=0.0)
    if objects is None:
        push(own_store, f"{bucket}/a")
    else:
        with interrupted(objects):
            push(own_store, f"{bucket}/a")
    before = files_of(as_folder(bucket))
    with pytest.raises(StoreBusy, match=r"/a was written to since it was listed; nothing of it was deleted\.$"):
        remove_upload(found)
    assert files_of(as_folder(bucket)) == before


def test_objects_of_others_among_those_of_an_upload_stay(own_store, bucket, as_folder, interrupted):
    with interrupted(12):
        push(own_store, f"{bucket}/a")
    for name in ("test/photo.png", "labels/notes.csv"):
        (as_folder(bucket) / "a" / name).parent.mkdir(exist_ok=True)
        (as_folder(bucket) / "a" / name).write_text("mine")
    (found,) = abandoned_remote(bucket, older_than=0.0)
    assert found.foreign == ("labels/notes.csv", "test/photo.png")
    remove_upload(found)
    assert sorted(file.name for file in as_folder(bucket).rglob("*") if file.is_file()) == ["notes.csv", "photo.png"]


def test_of_an_upload_whose_mark_does_not_name_its_objects_nothing_goes(own_store, bucket, as_folder, interrupted):
    with interrupted(12):
        push(own_store, f"{bucket}/a")
    mark = as_folder(bucket) / "a/creating.json"
    earlier = {name: value for name, value in json.loads(mark.read_bytes()).items() if name != "manifests"}
    mark.write_text(json.dumps(earlier))
    assert abandoned_remote(bucket, older_than=0.0) == []
    (entry,) = unclear_uploads(bucket)
    assert "does not say which objects are the upload's" in entry.fault
    with pytest.raises(StoreError, match="Finish that upload"):
        remove_remote(f"{bucket}/a", force=True)
    with interrupted(12):
        push(own_store, f"{bucket}/a")
    (found,) = abandoned_remote(bucket, older_than=0.0)
    remove_upload(found)
    assert not [file for file in as_folder(bucket).rglob("*") if file.is_file()]


def test_of_views_that_were_being_added_only_these_go(own_store, half_grown, bucket, as_folder, age, files_of):
    assert files_of(as_folder(bucket) / "a") != files_of(own_store)
    age(bucket, 2)
    (found,) = abandoned_remote(bucket, older_than=DAY)
    remove_upload(found)
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)
    assert open_remote(f"{bucket}/a").complete == 1
