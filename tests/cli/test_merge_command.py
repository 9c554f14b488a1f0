"""`kdcache merge` and `schema` as a user meets them."""

import json
import shutil

import pytest

from cache_kd.store.manifest import read_manifest


def test_two_codecs_of_one_teacher_become_a_store_that_names_both(kdcache, stores, tmp_path):
    merge = ("merge", stores["float32"], stores["float16"], "--store", tmp_path / "merged", "--weights", "3,1")
    code, out, err = kdcache(*merge)
    assert code == 0
    assert "ensemble:logits(resnet8x0.5,resnet8x0.5)  2 views x 512" in out
    assert "1,152 rows in" in out
    assert f"kdcache train --store {tmp_path / 'merged'}" in err
    assert "already there" in kdcache(*merge)[1]
    assert json.loads(kdcache(*merge, "--json")[1])["merged_rows"] == 0
    shown = "".join(kdcache("info", tmp_path / "merged")[1].replace("│", " ").split())
    first, second = (read_manifest(stores[codec]).store_id for codec in ("float32", "float16"))
    assert "0.75resnet8x0.5(" in shown
    assert shown.index(first) < shown.index(second)


def test_verify_checks_its_files_and_sends_on_to_its_members(kdcache, stores, tmp_path):
    merged = tmp_path / "merged"
    kdcache("merge", stores["float32"], stores["float16"], "--store", merged)
    code, _, err = kdcache("verify", merged, "--deep", "--device", "cpu")
    assert code == 1
    assert f"the mean of {stores['float32']} and {stores['float16']}" in err
    (merged / "logits/dense/c/0/1/0").write_bytes(b"torn")
    assert "has 4 bytes" in kdcache("verify", merged)[1]
    code, _, err = kdcache("repair", merged, "--device", "cpu")
    assert code == 1
    assert "there is no model to ask" in err
    assert kdcache("merge", stores["float32"], stores["float16"], "--store", merged)[0] == 0
    assert kdcache("verify", merged, "--deep")[2].count("there is no model to ask") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "--store", "s"), "a alone is no ensemble"),
        (("a", "b"), "Missing option '--store'"),
        (("a", "b", "--store", "s"), "a does not exist"),
        (("a", "b", "--store", "s", "--weights", "1,heavy"), "weights.1"),
        (("a", "b", "--store", "s", "--weights", "1,0"), "greater than 0"),
    ],
)
def test_what_cannot_be_merged_is_one_sentence(kdcache, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = kdcache("merge", *arguments)
    assert code in (1, 2)
    assert words in err
    assert not (tmp_path / "s").exists()


def test_a_merge_without_members_on_the_disk_is_still_read(kdcache, stores, tmp_path):
    member = shutil.copytree(stores["float32"], tmp_path / "member")
    kdcache("merge", member, stores["float16"], "--store", tmp_path / "merged")
    shutil.rmtree(member)
    assert json.loads(kdcache("info", tmp_path / "merged", "--json")[1])["complete"] == 1


def test_schema_prints_a_json_schema(kdcache):
    schema = json.loads(kdcache("schema")[1])
    assert schema["$schema"].endswith("2020-12/schema")
    assert "digest" in schema["required"]
