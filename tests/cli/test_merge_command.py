"""`kdcache merge` and `schema` as a user meets them."""

import json
import shutil

import pytest

from cache_kd.store.manifest import read_manifest


def test_two_teachers_become_a_store_that_names_both(kdcache, stores, second_store, tmp_path):
    merge = ("merge", stores["float32"], second_store, "--store", tmp_path / "merged", "--weights", "3,1")
    code, out, err = kdcache(*merge)
    assert code == 0
    assert "ensemble:logits(resnet8x0.5,resnet8x0.5)  2 views x 512" in out
    assert "1,152 rows in" in out
    assert f"kdcache train --store {tmp_path / 'merged'}" in err
    assert "already there" in kdcache(*merge)[1]
    assert json.loads(kdcache(*merge, "--json")[1])["merged_rows"] == 0
    shown = "".join(kdcache("info", tmp_path / "merged")[1].replace("│", " ").split())
    first, second = (read_manifest(path).store_id for path in (stores["float32"], second_store))
    assert "0.75resnet8x0.5(" in shown
    assert first in shown
    assert second in shown


def test_verify_checks_what_can_be_checked_and_repair_asks_its_members(kdcache, stores, second_store, tmp_path):
    merged = tmp_path / "merged"
    kdcache("merge", stores["float32"], second_store, "--store", merged)
    code, out, _ = kdcache("verify", merged, "--deep", "--rows", 20)
    assert code == 0
    assert "size and checksum of every file" in out
    assert "Not checked: the logits" in out
    assert "kdcache verify each of them" in out
    (merged / "logits/dense/c/0/1/0").write_bytes(b"torn")
    code, out, _ = kdcache("verify", merged)
    assert code == 1
    assert "has 4 bytes" in out
    assert f"kdcache repair {merged}" in out
    code, out, err = kdcache("repair", merged)
    assert code == 0
    assert "1 piece(s) redone, 128 rows from its members" in err
    assert "1 pieces have every byte that they had" in out
    assert kdcache("verify", merged, "--deep", "--rows", 20)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "--store", "s"), "a alone is no ensemble"),
        (("a", "b"), "Missing option '--store'"),
        (("a", "b", "--store", "s"), "a does not exist"),
        (("a", "b", "--store", "s", "--weights", "1,heavy"), "weights.1"),
        (("a", "b", "--store", "s", "--weights", "1,0"), "greater than 0"),
        (("a", "b", "--store", "s", "--weights", "1e308,1e308"), "less than or equal to"),
        (("a", "b", "--store", "s", "--weights", f"1,{'9' * 5000}"), "weights.1"),
    ],
)
def test_what_cannot_be_merged_is_one_sentence(kdcache, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = kdcache("merge", *arguments)
    assert code in (1, 2)
    assert words in err
    assert not (tmp_path / "s").exists()


def test_a_merge_without_members_on_the_disk_is_still_read(kdcache, stores, second_store, tmp_path):
    member = shutil.copytree(stores["float32"], tmp_path / "member")
    kdcache("merge", member, second_store, "--store", tmp_path / "merged")
    shutil.rmtree(member)
    assert json.loads(kdcache("info", tmp_path / "merged", "--json")[1])["complete"] == 1


def test_schema_prints_a_json_schema(kdcache):
    schema = json.loads(kdcache("schema")[1])
    assert schema["$schema"].endswith("2020-12/schema")
    assert "digest" in schema["required"]
