"""`kdcache ls`, `find`, `repair`, `rm` and `gc` as a user meets them."""

import json
import shutil

import click
import pytest

from cache_kd.opened import open_store
from cache_kd.store.reader import Reader


def test_ls_takes_filters(kdcache, stores):
    root = stores["float16"].parent
    paths = [entry["path"] for entry in json.loads(kdcache("ls", root, "--codec", "float16", "--json")[1])]
    assert paths == [str(stores["float16"])]
    assert kdcache("ls", root, "--partial")[1] == f"No such stores below {root}.\n"
    assert len(json.loads(kdcache("ls", root, "--complete", "--teacher", "resnet8", "--json")[1])) == 2


def test_find_prints_paths_or_says_that_there_is_none(kdcache, stores):
    root = stores["float16"].parent
    assert kdcache("find", root, "--codec", "float16", "--recipe", "cifar")[:2] == (0, f"{stores['float16']}\n")
    code, out, err = kdcache("find", root, "--seed", 7)
    assert (code, out) == (1, "")
    assert f"kdcache ls {root}" in err


def test_a_damaged_store_is_verified_repaired_and_holds(kdcache, own_store):
    (own_store / "logits/dense/c/0/1/0").write_bytes(b"torn")
    code, out, _ = kdcache("verify", own_store, "--deep", "--device", "cpu")
    assert code == 1
    assert f"kdcache repair {own_store}" in out
    code, out, err = kdcache("repair", own_store, "--dry-run")
    assert (code, out) == (0, f"{own_store}: nothing was changed (--dry-run).\n")
    assert "has 4 bytes" in err
    assert "To do: 1 piece(s) redone, 128 rows by the teacher." in err
    code, out, _ = kdcache("repair", own_store, "--device", "cpu")
    assert out.startswith(f"{own_store} is whole again: 128 rows were computed.")
    assert "1 pieces have every byte that they had" in out
    assert kdcache("repair", own_store)[1] == f"{own_store} needs no repair.\n"
    assert kdcache("verify", own_store, "--deep", "--device", "cpu", "--rows", 20)[0] == 0


def test_verify_and_repair_agree_about_a_file_that_is_not_the_store_s(kdcache, own_store):
    notes = own_store / "logits" / "notes.txt"
    notes.write_text("mine")
    code, out, _ = kdcache("verify", own_store)
    assert code == 1
    assert f"{notes} does not belong to this store" in out
    assert "Delete what does not belong" in out
    assert "redoes" not in out
    code, out, _ = kdcache("repair", own_store)
    assert code == 0
    assert out.startswith(f"{own_store} needs no repair, but 1 file(s) in it are none of the store's")
    assert "logits/notes.txt" in out
    assert notes.exists()
    (own_store / "labels/c/0").unlink()
    out = kdcache("verify", own_store)[1]
    assert "redoes just these" in out
    assert "Delete what does not belong" in out
    assert "But 1 file(s) in it" in kdcache("repair", own_store)[1]
    notes.unlink()
    assert kdcache("verify", own_store, "--rows", 20, "--device", "cpu")[0] == 0


def test_rm_asks_first_and_waits_for_readers(kdcache, own_store):
    code, _, err = kdcache("rm", own_store, answer="n\n")
    assert code == 1
    assert "Delete" in err
    opened = open_store(own_store)
    code, _, err = kdcache("rm", own_store, "--yes")
    assert code == 1
    assert "a process is reading this store" in err
    del opened
    (own_store / "notes.txt").write_text("mine")
    code, out, err = kdcache("rm", own_store, "--yes")
    assert code == 0
    assert out.startswith(f"Deleted {own_store}")
    assert "Left alone, for they are none of the store's: notes.txt" in err
    assert [entry.name for entry in own_store.iterdir()] == ["notes.txt"]


def test_gc_shows_asks_and_deletes_what_nobody_finished(kdcache, own_store):
    for name in ("done/train.1.1.json", "logits/dense/c/1/1/0", "view_digest/c/1/1"):
        (own_store / name).unlink()
    assert kdcache("gc", own_store.parent)[1] == f"No abandoned dumps below {own_store.parent}.\n"
    gc = ("gc", own_store.parent, "--older-than", "0m")
    _, out, err = kdcache(*gc, "--dry-run")
    assert "nothing was deleted" in out
    assert f"{own_store}  94 % written" in err  # 16 of 17 pieces
    assert kdcache(*gc, answer="n\n")[0] == 1
    assert own_store.exists()
    assert json.loads(kdcache(*gc, "--yes", "--json")[1])["removed"]
    assert not own_store.exists()


def test_gc_skips_what_was_finished_or_went_while_it_asked(kdcache, own_store, monkeypatch):
    lost = ("done/train.1.1.json", "logits/dense/c/1/1/0", "view_digest/c/1/1")
    contents = {name: (own_store / name).read_bytes() for name in lost}
    for name in lost:
        (own_store / name).unlink()
    gone, left = (shutil.copytree(own_store, own_store.with_name(name)) for name in ("a-gone", "z-left"))

    def finish(*arguments, **options):
        for name, content in contents.items():
            (own_store / name).write_bytes(content)
        shutil.rmtree(gone)

    monkeypatch.setattr(click, "confirm", finish)
    code, out, err = kdcache("gc", own_store.parent, "--older-than", "0m")
    assert code == 1
    assert f"Skipped: {own_store} was written to since it was listed" in err
    assert f"Skipped: {gone} does not exist" in err
    assert out.startswith("Deleted 1 abandoned dump(s)")
    assert Reader.open(own_store).check() == []
    assert not left.exists()


def test_gc_names_a_store_without_a_manifest_and_leaves_it_to_the_user(kdcache, own_store):
    (own_store / "zarr.json").unlink()
    assert "zarr.json is lost" in json.loads(kdcache("ls", own_store.parent, "--json")[1])[0]["fault"]
    _, out, err = kdcache("gc", own_store.parent, "--older-than", "0m", "--yes", "--json")
    assert f"{own_store}  stays, " in err
    assert "delete the folder yourself" in err
    expected = {"found": [], "bytes": 0, "removed": False, "skipped": [], "damaged": [str(own_store)]}
    assert json.loads(out) == expected
    assert (own_store / "labels/c/0").exists()


@pytest.mark.parametrize("age", ["7", "a week", "-1d"])
def test_an_age_needs_a_unit(kdcache, tmp_path, age):
    code, _, err = kdcache("gc", tmp_path, "--older-than", age)
    assert code == 2
    assert "is no age" in err
