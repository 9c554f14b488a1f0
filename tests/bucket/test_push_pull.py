"""What is pushed and pulled is the same store, at every moment and from wherever it was interrupted."""

import hashlib
import json
import shutil
from threading import Lock

import pytest

from cache_kd.bucket.bucket import Bucket
from cache_kd.bucket.copies import copy_folder, local_store
from cache_kd.bucket.pull import pull
from cache_kd.bucket.push import push
from cache_kd.bucket.remote import open_remote
from cache_kd.dump import dump
from cache_kd.errors import ConfigError, StoreBusy, StoreDamaged, StoreError, StoreIncomplete, StoreMismatch
from cache_kd.store.manifest import _store_ids, read_manifest, root_file
from cache_kd.store.reader import Reader
from cache_kd.store.removal import remove


@pytest.fixture
def grown(own_store, dump_config, tmp_path):
    """The same store with a view more, elsewhere."""
    path = shutil.copytree(own_store, tmp_path / "grown")
    dump(dump_config(path, views=3))
    return path


def test_a_round_trip_gives_the_same_bytes(own_store, bucket, tmp_path, files_of, as_folder):
    sent = push(own_store, f"{bucket}/a")
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)
    assert (sent.files, sent.bytes) == (len(files_of(own_store)), sum(map(len, files_of(own_store).values())))
    fetched = pull(f"{bucket}/a", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(own_store)
    assert Reader.open(tmp_path / "back").check(deep=True) == []
    assert fetched.store_id == sent.store_id == read_manifest(own_store).store_id


def test_a_second_time_costs_a_listing_and_a_manifest(own_store, bucket, requests):
    push(own_store, f"{bucket}/a")
    local_store(f"{bucket}/a")
    del requests[:]
    assert push(own_store, f"{bucket}/a").files == 0
    local_store(f"{bucket}/a")
    assert [verb for verb, _ in requests] == ["list", "get"] * 2
    assert {name for verb, name in requests if verb == "get"} == {"zarr.json"}


@pytest.mark.parametrize("count", [0, 1, 5, 20, 40])
def test_an_interrupted_upload_is_no_store_and_goes_on(own_store, bucket, files_of, as_folder, interrupted, count):
    with interrupted(count):
        push(own_store, f"{bucket}/a")
    with pytest.raises(StoreIncomplete, match="upload has not finished"):
        open_remote(f"{bucket}/a")
    sent = push(own_store, f"{bucket}/a")
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)
    assert sent.files <= len(files_of(own_store)) - max(0, count - 3 * 8)  # at most the pieces in flight are sent again


def test_an_interrupted_download_goes_on(own_store, bucket, tmp_path, files_of, interrupted):
    push(own_store, f"{bucket}/a")
    whole = len(files_of(own_store))
    with interrupted(12, "read"):
        pull(f"{bucket}/a", tmp_path / "back")
    with pytest.raises(StoreIncomplete):
        Reader.open(tmp_path / "back")
    assert 0 < pull(f"{bucket}/a", tmp_path / "back").files < whole
    assert files_of(tmp_path / "back") == files_of(own_store)


@pytest.mark.parametrize("count", [0, 3, 8, 14, 18])
def test_a_store_stays_readable_while_views_are_added(
    own_store, grown, bucket, tmp_path, files_of, as_folder, interrupted, count
):
    push(own_store, f"{bucket}/a")
    before = local_store(f"{bucket}/a")
    with interrupted(count):
        push(grown, f"{bucket}/a")
    pull(f"{bucket}/a", tmp_path / "meanwhile")
    assert Reader.open(tmp_path / "meanwhile").manifest.parts["train"].views == 2
    assert Reader.open(tmp_path / "meanwhile").check(deep=True) == []
    push(grown, f"{bucket}/a")
    assert files_of(as_folder(bucket) / "a") == files_of(grown)
    assert local_store(f"{bucket}/a") == before
    assert files_of(before) == files_of(grown)
    assert pull(f"{bucket}/a", tmp_path / "meanwhile").views == 3


def test_only_new_views_are_fetched_and_sent(own_store, grown, bucket, tmp_path):
    push(own_store, f"{bucket}/a")
    pull(f"{bucket}/a", tmp_path / "back")
    reader = Reader.open(tmp_path / "back")
    new_files = 4 * 3 + 2  # four shards with a record each, and the witnesses with theirs
    assert pull(f"{bucket}/a", tmp_path / "back").files == 0
    metadata = len(list(own_store.rglob("zarr.json")))
    assert push(grown, f"{bucket}/a").files == new_files + metadata
    assert pull(f"{bucket}/a", tmp_path / "back").files == new_files
    assert reader.check(deep=True) == []  # as it was opened before


def test_what_lost_files_is_mended_from_either_side(own_store, bucket, as_folder, files_of, tmp_path):
    push(own_store, f"{bucket}/a")
    (as_folder(bucket) / "a" / "logits/dense/c/0/1/0").unlink()
    with pytest.raises(StoreIncomplete, match=r"9\d\.\d % of its files"):
        pull(f"{bucket}/a", tmp_path / "back")
    push(own_store, f"{bucket}/a")
    copy = local_store(f"{bucket}/a")
    (copy / "logits/dense/c/0/1/0").unlink()
    (copy / "view_digest/zarr.json").unlink()
    local_store(f"{bucket}/a")
    assert files_of(copy) == files_of(own_store)


def test_a_copy_whose_rows_are_cut_otherwise_is_not_touched(own_store, bucket, files_of):
    push(own_store, f"{bucket}/a")
    _cut_otherwise(own_store)
    before = files_of(own_store)
    with pytest.raises(StoreMismatch, match=r"its rows are cut or ordered otherwise.*nothing was changed"):
        pull(f"{bucket}/a", own_store)
    assert files_of(own_store) == before


def test_views_are_not_added_to_rows_that_are_cut_otherwise(own_store, grown, bucket, files_of, as_folder):
    push(own_store, f"{bucket}/a")
    _cut_otherwise(as_folder(bucket) / "a")
    before = files_of(as_folder(bucket))
    with pytest.raises(StoreMismatch, match=r"its rows are cut or ordered otherwise"):
        push(grown, f"{bucket}/a")
    assert files_of(as_folder(bucket)) == before


def _cut_otherwise(path):
    """Let the manifest say that chunks have half the rows, as another release may choose."""
    manifest = read_manifest(path)
    parts = {
        name: part.model_copy(update={"chunk_rows": part.chunk_rows // 2}) for name, part in manifest.parts.items()
    }
    (path / "zarr.json").write_bytes(root_file(manifest.model_copy(update={"parts": parts})))


def test_a_whole_copy_is_used_where_its_lock_cannot_be_taken(own_store, bucket, tmp_path):
    push(own_store, f"{bucket}/a")
    pull(f"{bucket}/a", tmp_path / "shared")
    (tmp_path / "shared/writing.lock").unlink(missing_ok=True)
    (tmp_path / "shared/writing.lock").mkdir()  # as good as one that somebody else owns
    assert pull(f"{bucket}/a", tmp_path / "shared").files == 0
    (tmp_path / "shared/done/train.0.1.json").unlink()
    with pytest.raises(StoreError, match=r"writing\.lock"):
        pull(f"{bucket}/a", tmp_path / "shared")


def test_a_growth_during_an_upload_is_not_published_without_its_rows(
    own_store, dump_config, bucket, tmp_path, files_of, monkeypatch
):
    original = Bucket.write_new

    def growing(self, name, content):
        dump(dump_config(own_store, views=3))
        return original(self, name, content)

    before = shutil.copytree(own_store, tmp_path / "before")
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "write_new", growing)
        assert push(own_store, f"{bucket}/a").views == 2
    pull(f"{bucket}/a", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(before)
    assert push(own_store, f"{bucket}/a").views == 3
    assert open_remote(f"{bucket}/a").complete == 1


def test_a_store_is_not_removed_while_it_is_uploaded_unless_by_force(own_store, bucket, monkeypatch):
    original, first = Bucket.write, iter([True])
    one_at_a_time = Lock()

    def removing(self, name, content):
        with one_at_a_time:
            if next(first, False):
                with pytest.raises(StoreBusy, match="a process is reading this store"):
                    remove(own_store)
                remove(own_store, force=True)
        original(self, name, content)

    monkeypatch.setattr(Bucket, "write", removing)
    with pytest.raises(StoreError, match=r"cannot be read \(No such file or directory\); it was there when"):
        push(own_store, f"{bucket}/a")
    with pytest.raises(StoreIncomplete, match="upload has not finished"):
        open_remote(f"{bucket}/a")


def test_a_folder_of_a_bucket_with_objects_of_others_is_refused(own_store, bucket, as_folder, files_of):
    (as_folder(bucket) / "a/test").mkdir(parents=True)
    (as_folder(bucket) / "a/test/photo.png").write_text("mine")
    with pytest.raises(StoreError, match=r"not a store and not empty \(it has test/photo\.png\)"):
        push(own_store, f"{bucket}/a")
    assert list(files_of(as_folder(bucket))) == ["a/test/photo.png"]


def test_a_flipped_bit_in_the_bucket_is_not_copied(own_store, bucket, as_folder, tmp_path):
    push(own_store, f"{bucket}/a")
    shard = as_folder(bucket) / "a" / "logits/dense/c/0/1/0"
    content = bytearray(shard.read_bytes())
    content[1000] ^= 4
    shard.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"logits/dense/c/0/1/0 has other bytes than were written"):
        pull(f"{bucket}/a", tmp_path / "back")
    assert not (tmp_path / "back" / "logits/dense/c/0/1/0").exists()
    with pytest.raises(StoreIncomplete):
        Reader.open(tmp_path / "back")


def test_a_damaged_store_is_not_uploaded(own_store, bucket, as_folder):
    shard = own_store / "logits/dense/c/0/1/0"
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(StoreDamaged, match="kdcache repair"):
        push(own_store, f"{bucket}/a")
    assert not (as_folder(bucket) / "a" / "zarr.json").exists()


def test_an_unfinished_store_is_not_uploaded(own_store, bucket, as_folder):
    (own_store / "done/train.1.1.json").unlink()
    with pytest.raises(StoreIncomplete):
        push(own_store, f"{bucket}/a")
    assert not as_folder(bucket).exists()


def test_another_store_is_neither_overwritten_nor_mixed(stores, own_store, bucket, files_of, as_folder):
    push(own_store, f"{bucket}/a")
    with pytest.raises(StoreMismatch, match=r"holds store .* Push to another URL"):
        push(stores["float32"], f"{bucket}/a")
    push(stores["float32"], f"{bucket}/b")
    with pytest.raises(StoreMismatch, match="codec"):
        pull(f"{bucket}/b", own_store)
    assert files_of(as_folder(bucket) / "a") == files_of(own_store) == files_of(stores["float16"])


@pytest.fixture
def twin(own_store, tmp_path):
    """The same store with one shard of other bytes, as another device might have rounded them."""
    path = shutil.copytree(own_store, tmp_path / "twin")
    file, record = path / "view_digest/c/0/1", path / "done/train.0.1.json"
    before = file.read_bytes()
    after = before[:-1] + bytes([before[-1] ^ 1])
    file.write_bytes(after)
    sums = [hashlib.sha256(content).hexdigest() for content in (before, after)]
    assert sums[0] in record.read_text()
    record.write_text(record.read_text().replace(*sums))
    return path


def test_two_uploads_of_equal_bytes_both_end_well(own_store, bucket, tmp_path, files_of, as_folder, interrupted):
    other = shutil.copytree(own_store, tmp_path / "other")
    with interrupted(35):
        push(own_store, f"{bucket}/a")
    assert push(other, f"{bucket}/a").files < len(files_of(other))  # goes on with what the first one sent
    assert push(own_store, f"{bucket}/a").files == 0
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)


def test_an_upload_of_other_bytes_waits_and_then_finds_the_store(
    own_store, twin, bucket, files_of, as_folder, interrupted
):
    with interrupted(5):
        push(own_store, f"{bucket}/a")
    with pytest.raises(StoreBusy, match=r"/store uploads other bytes of this store, since .*kdcache gc"):
        push(twin, f"{bucket}/a")
    push(own_store, f"{bucket}/a")
    assert push(twin, f"{bucket}/a").files == 0
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)


def test_the_same_folder_takes_its_own_upload_over(own_store, dump_config, bucket, files_of, as_folder, interrupted):
    with interrupted(5):
        push(own_store, f"{bucket}/a")
    dump(dump_config(own_store, views=3))
    push(own_store, f"{bucket}/a")
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)


def test_views_are_not_added_to_other_bytes(own_store, twin, dump_config, bucket, files_of, as_folder):
    push(own_store, f"{bucket}/a")
    dump(dump_config(twin, views=3))
    with pytest.raises(StoreMismatch, match=r"other bytes, train view 0, rows 128 to 255 among them"):
        push(twin, f"{bucket}/a")
    assert files_of(as_folder(bucket) / "a") == files_of(own_store)
    with pytest.raises(StoreMismatch, match="other bytes"):
        pull(f"{bucket}/a", twin)


def test_a_copy_of_other_bytes_is_fetched_again(own_store, twin, bucket, files_of):
    push(own_store, f"{bucket}/a")
    copy = copy_folder(f"{bucket}/a", read_manifest(own_store).store_id)
    copy.parent.mkdir(parents=True)
    shutil.copytree(twin, copy)
    assert local_store(f"{bucket}/a") == copy
    assert files_of(copy) == files_of(own_store)


def test_a_copy_that_is_ahead_of_the_bucket_is_not_trained_from(own_store, dump_config, bucket):
    push(own_store, f"{bucket}/a")
    copy = local_store(f"{bucket}/a")
    dump(dump_config(copy, views=3))
    with pytest.raises(StoreIncomplete, match=rf"has 2 views, its copy .* has 3.*kdcache push {copy}"):
        local_store(f"{bucket}/a")
    push(copy, f"{bucket}/a")
    assert local_store(f"{bucket}/a") == copy


def test_a_manifest_whose_names_lead_out_is_refused(own_store, bucket, as_folder, tmp_path):
    push(own_store, f"{bucket}/a")
    manifest = read_manifest(own_store)
    parts = {"train": manifest.parts["train"], "../../evil": manifest.parts["test"]}
    hostile = manifest.model_copy(update={"parts": parts})
    hostile = hostile.model_copy(update={"store_id": _store_ids(hostile)[0]})
    (as_folder(bucket) / "a" / "zarr.json").write_bytes(root_file(hostile))
    with pytest.raises(StoreDamaged, match=r"a part is called '\.\./\.\./evil'"):
        pull(f"{bucket}/a", tmp_path / "deep" / "back")
    assert not (tmp_path / "deep").exists()
    assert not list(tmp_path.glob("**/evil*"))


def test_what_the_manifest_does_not_name_stays_there(own_store, bucket, as_folder, tmp_path, files_of):
    push(own_store, f"{bucket}/a")
    for name in ("run.sh", "logits/evil.py", "done/evil.json"):
        (as_folder(bucket) / "a" / name).write_text("rm -rf /")
    pull(f"{bucket}/a", tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(own_store)


def test_a_record_that_names_other_files_is_refused(own_store, bucket, as_folder, tmp_path):
    push(own_store, f"{bucket}/a")
    record = as_folder(bucket) / "a" / "done/train.0.1.json"
    content = json.loads(record.read_text())
    content["objects"][0]["path"] = "../evil"
    record.write_text(json.dumps(content))
    with pytest.raises(StoreDamaged, match="is not the record of train view 0, rows 128 to 255"):
        pull(f"{bucket}/a", tmp_path / "back")


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("http://example.org/a", ConfigError, "buckets are written as s3://"),
        ("az://container/a", ConfigError, "AZURE_STORAGE_ACCOUNT_NAME"),
        ("file:///nowhere/at/all", StoreError, r"^file:///nowhere/at/all does not exist\.$"),
    ],
)
def test_what_cannot_be_reached_is_one_sentence(url, kind, words):
    with pytest.raises(kind, match=words) as fault:
        open_remote(url)
    assert "\n" not in str(fault.value)
