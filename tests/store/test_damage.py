"""Nothing wrong is ever read as right: every file of a store is damaged in every way, and all of it read."""

import itertools
import random

import pytest

from cache_kd.errors import KdCacheError
from cache_kd.store.damage import find_damage
from cache_kd.store.manifest import read_manifest
from cache_kd.store.object_writer import write_object
from cache_kd.store.removal import remove


def _truncated(content, draw):
    return content[: draw.randrange(1, max(2, len(content)))]


def _empty(content, draw):
    return b""


def _flipped(content, draw):
    position = draw.randrange(len(content))
    return content[:position] + bytes([content[position] ^ 1 << draw.randrange(8)]) + content[position + 1 :]


def _zeroed(content, draw):
    return bytes(len(content))


def _longer(content, draw):
    return content + content[-8:]


def _gone(content, draw):
    return None


DAMAGES = (_truncated, _empty, _flipped, _flipped, _flipped, _zeroed, _longer, _gone)


@pytest.mark.parametrize("codec", ["float16", "float32"])
def test_no_damage_to_any_file_gives_a_wrong_number(describe, write, assert_right, files_of, tmp_path, codec):
    store = tmp_path / "store"
    write(store, describe(codec=codec, train=20, test=4, views=2))
    draw = random.Random(0)
    refused = 0
    files = files_of(store)
    for name, content in files.items():
        for damage in DAMAGES:
            damaged = damage(content, draw)
            if damaged is None:
                (store / name).unlink()
            else:
                (store / name).write_bytes(damaged)
            try:
                assert_right(store)
            except KdCacheError as fault:
                assert str(store) in str(fault)  # noqa: PT017 - either outcome is right
                refused += 1
            (store / name).write_bytes(content)
    assert_right(store)
    # a flip may hit a space between two words of JSON; all else has to be noticed
    assert refused > 0.97 * len(files) * len(DAMAGES)


def test_files_that_change_places_are_noticed(describe, write, assert_right, files_of, tmp_path):
    store = tmp_path / "store"
    write(store, describe(train=32, views=2))
    files = files_of(store)
    names = sorted(name for name in files if "/c/" in name or name.startswith("done/"))
    for name, other in itertools.pairwise(names):
        if files[name] == files[other]:
            continue
        (store / name).write_bytes(files[other])
        with pytest.raises(KdCacheError):
            assert_right(store)
        (store / name).write_bytes(files[name])


def test_the_first_file_of_a_view_without_witnesses_belongs_to_the_store(describe, write, monkeypatch, tmp_path):
    store = tmp_path / "store"
    write(store, describe(train=4, test=None, views=16))

    def dying(file, array, rows):
        write_object(file, array, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr("cache_kd.store.writer.write_object", dying)
    with pytest.raises(KeyboardInterrupt):
        write(store, describe(train=4, test=None, views=17))
    assert (store / "logits/dense/c/16/0/0").exists()
    assert find_damage(store, read_manifest(store)).sentences == []
    assert remove(store).foreign == ()
    assert not store.exists()
