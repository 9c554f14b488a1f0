"""Sizes that are computed are the sizes of files that a dump writes."""

import pytest

from cache_kd.dump import dump
from cache_kd.planning.candidates import candidates
from cache_kd.planning.store_size import file_bytes, store_size
from cache_kd.store.arrays import arrays_of
from cache_kd.store.codec import make_codec
from cache_kd.store.manifest import read_manifest


def _on_disk(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_every_array_of_a_store_has_the_bytes_that_are_computed(stores):
    for path in stores.values():
        manifest = read_manifest(path)
        arrays = [array for part in manifest.parts for array in arrays_of(manifest, part)]
        assert len(arrays) >= 6
        for array in arrays:
            assert file_bytes(array) == _on_disk(path / array.path / "c"), array.path


@pytest.mark.parametrize("spec", [{"name": "float16"}, {"name": "packed", "bits": 4}], ids=str)
def test_a_store_is_as_large_as_planned_but_for_its_records(spec, dump_config, tmp_path):
    assert spec in candidates(10)
    path = tmp_path / "store"
    dump(dump_config(path, codec=spec))
    planned = store_size(make_codec(spec), samples={"train": 512, "test": 128}, views=2, classes=10, view_bytes=28 * 28)
    words = sum(file.stat().st_size for file in path.rglob("*.json"))
    headers = 128 * len(list((path / "witness").iterdir()))
    assert planned.total == _on_disk(path) - words - headers


def test_a_view_has_its_logits_a_digest_and_checksums():
    # 200 bytes of logits, 4 of digest, rows that fill the last chunk, then a few bytes per chunk of 2,048 rows
    size = store_size(make_codec("float16"), samples={"train": 51_200}, views=4, classes=100, view_bytes=3072)
    assert 204 < size.per_view < 204.1


def test_parameters_and_witnesses_are_counted():
    given = {"samples": {"train": 100}, "views": 1, "classes": 10}
    bare = store_size(make_codec("uint8"), view_bytes=0, **given).total
    assert store_size(make_codec("uint8"), view_bytes=1000, parameter_bytes=77, **given).total == bare + 32_000 + 77
