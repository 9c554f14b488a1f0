import errno
from pathlib import Path

import pytest

from cache_kd.errors import StoreError
from cache_kd.store.catalog import Filter, bytes_on_disk, place_for, stores, unusable
from cache_kd.store.reader import Reader
from cache_kd.store.removal import abandoned


def test_stores_are_found_and_everything_else_is_passed_over(tmp_path, describe, write):
    write(tmp_path / "b", describe())
    write(tmp_path / "team" / "a", describe(seed=1), at_most=2)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    first, second = stores(tmp_path)
    assert (first.path, second.path) == (tmp_path / "b", tmp_path / "team" / "a")
    assert first.manifest is not None
    assert first.manifest.store_id == describe().store_id
    assert first.complete == 1
    assert 0 < second.complete < 1
    assert first.bytes == bytes_on_disk(first.path) > second.bytes
    assert first.fault is None


def test_a_damaged_store_is_listed_with_its_fault(tmp_path, describe, write):
    write(tmp_path / "good", describe())
    for name in ("array", "manifest"):
        write(tmp_path / name, describe())
    (tmp_path / "manifest" / "zarr.json").write_bytes(b"")
    (tmp_path / "array" / "labels" / "zarr.json").unlink()
    array, good, manifest = stores(tmp_path)
    assert good.fault is None
    assert array.manifest is None
    assert "labels/zarr.json cannot be read" in array.fault
    assert "manifest is damaged" in manifest.fault


@pytest.mark.parametrize(
    "seed",
    ["NaN", "Infinity", "1e999", '"\\ud800"', "1" + 5000 * "0", 10**5 * "[" + 10**5 * "]"],
    ids=lambda word: word[:9],
)
def test_a_manifest_that_cannot_even_have_a_digest_is_damaged_like_any_other(tmp_path, describe, write, seed):
    for name in ("good", "odd"):
        write(tmp_path / name, describe())
    manifest = tmp_path / "odd" / "zarr.json"
    manifest.write_text(manifest.read_text().replace('"seed": 0', f'"seed": {seed}'))
    good, odd = stores(tmp_path)
    assert good.fault is None
    assert "manifest is damaged" in odd.fault
    assert abandoned(tmp_path, older_than=0.0) == []


@pytest.mark.parametrize("file", ["labels/zarr.json", "creating.json"])
def test_json_that_is_nested_too_deep_is_none(tmp_path, describe, write, file):
    write(tmp_path / "odd", describe())
    (tmp_path / "odd" / file).write_text(10**5 * "[")
    if file == "creating.json":
        (tmp_path / "odd" / "zarr.json").unlink()
    assert [entry.manifest for entry in stores(tmp_path)] == [None]


@pytest.mark.parametrize("folder", ["done", "logits"])
def test_a_store_of_which_a_folder_is_closed_to_us_is_named_and_hides_no_other(
    tmp_path, describe, write, monkeypatch, folder
):
    for name in ("closed", "good", "left"):
        write(tmp_path / name, describe(), at_most=None if name == "good" else 1)
    stat = Path.stat

    def as_anybody(file, *, follow_symlinks=True):
        if tmp_path / "closed" / folder in file.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return stat(file, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", as_anybody)  # root is not held back by permissions
    closed, good, _ = stores(tmp_path)
    assert (good.complete, good.fault) == (1, None)
    if folder == "done":
        assert f"{tmp_path}/closed/done/" in closed.fault
        assert "cannot be looked at (Permission denied). Ask its owner" in closed.fault
        assert unusable(tmp_path) == [closed]
        with pytest.raises(StoreError, match="cannot be looked at"):
            Reader.open(tmp_path / "closed")
    assert [remains.path.name for remains in abandoned(tmp_path, older_than=0.0)] == ["left"]
    assert place_for(tmp_path, describe()) == tmp_path / "good"


def test_a_store_without_its_manifest_is_listed_and_its_likes_are_not(store, tmp_path):
    (store / "zarr.json").unlink()
    (tmp_path / "tasks" / "done").mkdir(parents=True)
    (tmp_path / "tasks" / "done" / "monday.json").write_text('{"store_id": "washing up"}')
    (entry,) = stores(tmp_path)
    assert (entry.path, entry.manifest, entry.bytes) == (store, None, bytes_on_disk(store))
    assert "zarr.json is lost" in entry.fault
    assert "Restore it from a copy, or delete the folder yourself" in entry.fault
    assert unusable(tmp_path) == [entry]


def test_a_root_may_be_a_store_or_empty_but_must_be_a_folder(store, tmp_path):
    assert [entry.path for entry in stores(store)] == [store]
    (tmp_path / "empty").mkdir()
    assert stores(tmp_path / "empty") == []
    with pytest.raises(StoreError, match="is not a folder"):
        stores(tmp_path / "nowhere")


def test_filters_look_inside_names_and_add_up(tmp_path, describe, write):
    chain = {"name": "chain", "recipes": [{"name": "rrc"}, {"name": "cutout"}]}
    write(tmp_path / "a", describe())
    write(tmp_path / "b", describe(codec="float16", recipe=chain, teacher={"name": "wrn_40_2"}))
    write(tmp_path / "c", describe(source_spec={"data": "/data/cifar100.h5"}), at_most=2)
    write(tmp_path / "d", describe())
    (tmp_path / "d" / "zarr.json").write_bytes(b"")
    entries = stores(tmp_path)

    def names(**wanted):
        return "".join(entry.path.name for entry in entries if Filter(**wanted).admits(entry))

    assert names() == "abcd"
    assert names(teacher="WRN") == names(codec="float16") == names(recipe="cutout") == "b"
    assert names(data="cifar100") == "c"
    assert names(complete=True) == "ab"
    assert names(complete=False) == "cd"
    assert names(complete=True, teacher="resnet") == "a"
    assert names(recipe="cutout", teacher="resnet") == ""


def test_a_dump_that_only_began_is_listed_with_what_to_do(tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "creating.json").write_text('{"store_id": "4f1c"}')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "creating.json").write_text("[1]")
    (entry,) = stores(tmp_path)
    assert "interrupted at the very start. Run the same dump again" in entry.fault
    assert unusable(tmp_path) == []
