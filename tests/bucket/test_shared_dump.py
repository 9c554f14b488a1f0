"""A dump into a catalog that is a bucket: a hit, a store to grow, an upload to finish, or a new store."""

import pytest

from cache_kd.bucket.listing import stores_at
from cache_kd.bucket.push import push
from cache_kd.bucket.removal import remove_remote
from cache_kd.config import load
from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError
from cache_kd.lookup import Wanted, find_stores
from cache_kd.models.teacher import Teacher
from cache_kd.store.reader import Reader
from cache_kd.train_config import TrainConfig


@pytest.fixture
def into_bucket(dump_config, bucket):
    """A function that dumps into the bucket."""
    return lambda **changes: dump(dump_config(None, catalog=f"{bucket}/stores", **changes))


@pytest.fixture
def shared(own_store, bucket):
    """The URL of a finished store under somebody else's name."""
    url = f"{bucket}/stores/ada/my first store"
    push(own_store, url)
    return url


def test_a_finished_store_there_is_a_hit_and_nothing_is_fetched(into_bucket, shared, home, monkeypatch, requests):
    monkeypatch.setattr(Teacher, "logits", None)  # nobody asks the teacher
    for views in (1, 2):
        result = into_bucket(views=views)
        assert (result.store, result.computed_rows, result.views) == (shared, 0, 2)
    assert not (home / "stores").exists()
    assert {name.rpartition("/")[2] for verb, name in requests if verb == "get"} == {"zarr.json"}


def test_an_empty_bucket_gets_a_store_named_by_teacher_and_id(into_bucket, bucket, as_folder, home, monkeypatch):
    result = into_bucket(views=1)
    assert result.store == f"{bucket}/stores/resnet8x0.5-{result.store_id}"
    assert result.computed_rows == 640
    assert Reader.open(as_folder(result.store)).check(deep=True) == []
    monkeypatch.setattr(Teacher, "logits", None)
    again = into_bucket(views=1)
    assert (again.store, again.computed_rows) == (result.store, 0)


def test_one_with_fewer_views_is_fetched_grown_and_uploaded(into_bucket, shared, as_folder):
    result = into_bucket(views=3)
    assert (result.store, result.computed_rows, result.views) == (shared, 512, 3)
    reader = Reader.open(as_folder(shared))
    assert reader.manifest.parts["train"].views == 3
    assert reader.check(deep=True) == []


@pytest.mark.parametrize("views", [1, 3])
def test_an_interrupted_upload_is_finished_without_the_teacher(
    into_bucket, shared, bucket, interrupted, monkeypatch, views
):
    if views == 1:
        remove_remote(shared, force=True)
    with interrupted(6):
        into_bucket(views=views)
    whole = [entry for entry in stores_at(bucket) if entry.complete == 1]
    assert [str(entry.path) for entry in whole] == ([shared] if views == 3 else [])
    monkeypatch.setattr(Teacher, "logits", None)
    result = into_bucket(views=views)
    assert (result.computed_rows, result.views) == (0, views)
    (entry,) = stores_at(bucket)
    assert (entry.path, entry.complete, entry.fault) == (result.store, 1, None)


def test_find_reads_manifests_only(shared, bucket, images, teacher_weights, requests):
    wanted = Wanted(data=str(images), teacher="resnet8x0.5", checkpoint=teacher_weights, views=2, codec="float16")
    assert [entry.path for entry in find_stores(bucket, wanted)] == [shared]
    assert find_stores(bucket, wanted.model_copy(update={"views": 3})) == []
    assert {verb for verb, _ in requests} == {"list", "get"}
    assert {name for verb, name in requests if verb == "get"} == {"stores/ada/my first store/zarr.json"}


def test_the_listing_tells_whole_damaged_unfinished_and_foreign_apart(shared, bucket, own_store, as_folder):
    for name in ("b", "c"):
        push(own_store, f"{bucket}/{name}")
    (as_folder(bucket) / "b/done/train.1.1.json").unlink()
    manifest = as_folder(bucket) / "c/zarr.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"seed": 0', b'"seed": 7'))
    for name in ("begun", "foreign"):
        (as_folder(bucket) / name).mkdir()
    (as_folder(bucket) / "begun/creating.json").write_text('{"store_id": "4f1c"}')
    (as_folder(bucket) / "foreign/zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    listed = {str(entry.path).removeprefix(f"{bucket}/"): entry for entry in stores_at(bucket)}
    assert sorted(listed) == ["b", "begun", "c", "stores/ada/my first store"]
    assert 0.9 < listed["b"].complete < 1
    assert listed["begun"].fault == "its upload has not finished"
    assert listed["c"].fault is not None
    assert "the manifest is damaged" in listed["c"].fault
    assert listed["stores/ada/my first store"].complete == 1
    assert stores_at(shared)[0].complete == 1  # the root may be the store itself


def test_a_config_takes_folders_of_this_machine_only(dump_config):
    given = {k: v for k, v in dump_config(None, catalog="s3://team").model_dump().items() if v is not None}
    del given["catalog"]
    with pytest.raises(ConfigError, match=r"store: s3://team/a is a bucket's.*kdcache dump --catalog URL"):
        load(DumpConfig, None, given | {"store": "s3://team/a"})
    with pytest.raises(ConfigError, match=r"store.0: s3://team/a is a bucket's, .*kdcache pull"):
        load(TrainConfig, None, {"store": "s3://team/a", "student": "resnet8", "out": "run"})
