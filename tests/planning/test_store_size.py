"""Sizes that are computed are the sizes of files that a dump writes."""

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


def test_a_view_has_its_logits_a_digest_and_checksums():
    # 200 bytes of logits, 4 of digest, rows that fill the last chunk, then a few bytes per chunk of 2,048 rows
    size = store_size(make_codec("float16"), samples={"train": 51_200}, views=4, classes=100, view_bytes=3072)
    assert 204 < size.per_view < 204.1


def test_parameters_and_witnesses_are_counted():
    given = {"samples": {"train": 100}, "views": 1, "classes": 10}
    bare = store_size(make_codec("uint8"), view_bytes=0, **given).total
    assert store_size(make_codec("uint8"), view_bytes=1000, parameter_bytes=77, **given).total == bare + 32_000 + 77


def test_words_take_the_room_that_they_take():
    """A class name stands in quotes, on a line of its own behind twelve blanks."""
    given = {"samples": {"train": 100}, "views": 1, "classes": 10, "view_bytes": 0}
    one, two = (
        store_size(make_codec("uint8"), words={"class_names": [name] * 10}, **given) for name in ("cat", "tiger")
    )
    assert two.total - one.total == 20
