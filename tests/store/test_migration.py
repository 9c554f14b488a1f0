"""Stores of earlier releases, as those releases wrote them, are read, checked and added to."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cache_kd.errors import StoreDamaged, StoreError
from cache_kd.merge import MergeConfig, merge
from cache_kd.store.catalog import place_for
from cache_kd.store.layout import Shard
from cache_kd.store.manifest import read_manifest, unseal
from cache_kd.store.reader import Reader

VERSION_2 = (
    Path(__file__).parent / "version_2.zip"
)  # of `describe(codec="float16")` and `teach`, before rows were keyed


@pytest.fixture
def old(tmp_path):
    """A store of version 2."""
    with zipfile.ZipFile(VERSION_2) as archive:
        archive.extractall(tmp_path / "old")
    return tmp_path / "old"


def test_a_store_of_version_2_gives_its_numbers(old, assert_right):
    assert json.loads((old / "zarr.json").read_bytes())["attributes"]["cache_kd"]["version"] == 2
    assert read_manifest(old).parts["train"].row_order == "by_sample"
    assert_right(old)
    assert Reader.open(old).check(deep=True) == []


def test_a_store_of_version_2_is_a_hit_and_grows(old, describe, write, files_of, assert_right):
    before = files_of(old)
    assert write(old, describe(codec="float16")) == 0
    assert files_of(old) == before
    assert write(old, describe(codec="float16", views=3)) == 4
    assert_right(old)
    assert Reader.open(old).check(deep=True) == []
    kept = {name for name in before if not name.endswith("zarr.json")}
    assert {name: content for name, content in files_of(old).items() if name in kept} == {
        name: before[name] for name in kept
    }


def test_rows_of_version_2_stand_by_sample(old, teach):
    rows = Reader.open(old).view("train", 0).arrays["dense"]
    logits, _ = teach(Shard(part="train", view=0, index=0, start=0, stop=64))
    assert np.array_equal(rows, logits.half().numpy())


def test_a_store_of_version_2_is_found_in_a_catalog(old, describe):
    """Its id is none that this release would give it."""
    asked = describe(codec="float16")
    assert Reader.open(old).manifest.store_id != asked.store_id
    assert place_for(old.parent, asked) == old
    assert place_for(old.parent, describe(codec="float16", views=9)) == old
    assert place_for(old.parent, describe(codec="float32")) == old.parent / f"resnet8-{describe().store_id}"


def test_a_store_of_version_2_merges_with_one_whose_rows_stand_otherwise(old, describe, write, assert_right, tmp_path):
    """The other teacher is the same formula, so its mean with itself is itself where every row meets its own."""
    write(tmp_path / "new", describe(codec="float16", teacher={"name": "resnet14", "fingerprint": "1" * 16}))
    kinds = {Reader.open(path).manifest.parts["train"].row_order for path in (old, tmp_path / "new")}
    assert kinds == {"keyed", "by_sample"}
    merge(MergeConfig(members=(old, tmp_path / "new"), store=tmp_path / "merged", codec="float16"))
    assert_right(tmp_path / "merged")


def test_a_changed_manifest_of_version_2_is_not_migrated(old):
    file = old / "zarr.json"
    file.write_bytes(file.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    with pytest.raises(StoreDamaged, match="digest"):
        read_manifest(old)


def test_views_that_were_mixed_within_runs_of_samples_are_refused(old):
    sealed = json.loads((old / "zarr.json").read_bytes())["attributes"]["cache_kd"]
    sealed["recipe"] = {"name": "mixed", "base": {"name": "cifar"}, "within": 64}
    with pytest.raises(StoreError, match=r"mixed within runs of samples.*Dump again"):
        unseal(sealed, old)
