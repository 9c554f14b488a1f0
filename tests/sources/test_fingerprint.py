import os
import shutil

import h5py
import numpy as np
import pytest

from cache_kd.sources import SourceSpec, fingerprint, open_source
from cache_kd.sources.arrays import array_source

SPEC = SourceSpec(data="arrays")


def _of(images, labels):
    return array_source(SPEC, images, labels).fingerprint()


def _of_tree(top):
    return open_source(SourceSpec(data=str(top))).fingerprint()


def test_every_change_of_arrays_is_noticed(pictures):
    images, labels = pictures["train"]
    one_bit, one_label, swapped = images.copy(), labels.copy(), np.array([1, 0, *range(2, 20)])
    one_bit[19, 7, 8, 2] ^= 1
    one_label[19] = 0
    found = [
        _of(images, labels),
        _of(one_bit, labels),
        _of(images, one_label),
        _of(images[swapped], labels),
        _of(images, labels[swapped]),
        _of(images[swapped], labels[swapped]),
        _of(images[:-1], labels[:-1]),
        _of(np.concatenate([images, images[:1]]), np.append(labels, 0)),
        _of(images.reshape(20, 9, 8, 3), labels),
    ]
    assert len(set(found)) == len(found)


def test_it_is_the_golden_one(pictures):
    assert _of(*pictures["train"]) == "ab6a45752d08b23e04a54489e1380ff4"


def test_it_does_not_depend_on_threads_or_on_the_type_of_the_labels(pictures, monkeypatch):
    images, labels = np.tile(pictures["train"][0], (150, 1, 1, 1)), np.tile(pictures["train"][1], 150)
    found = _of(images, labels)
    monkeypatch.setattr(fingerprint, "THREADS", 1)
    assert _of(images, labels.astype(np.uint8)) == found


def test_no_more_than_a_slice_is_asked_for_at_a_time_and_it_changes_nothing(monkeypatch):
    images, labels = np.arange(2100 * 12, dtype=np.uint32).astype(np.uint8).reshape(2100, 2, 2, 3), np.zeros(2100, int)
    asked = []

    def give(samples):
        asked.append(len(samples))
        return images[samples]

    found = set()
    for size, most in ((1, 1), (1200, 100), (2**30, 1024)):
        monkeypatch.setattr(fingerprint, "SLICE", size)
        asked.clear()
        found.add(fingerprint.fingerprint_of_images(give, images.shape, labels))
        assert max(asked) == most
    assert found == {"7685fe2c1232694ac0dde4eae92afd3a"}


def test_every_change_of_a_tree_is_noticed(tree):
    def rename(top):
        (top / "class_0" / "00.png").rename(top / "class_0" / "a0.png")

    def move(top):
        (top / "class_0" / "00.png").rename(top / "class_1" / "00.png")

    def edit(top):
        file = top / "class_0" / "00.png"
        file.write_bytes(file.read_bytes() + b"\0")

    def remove(top):
        (top / "class_2" / "02.png").unlink()

    def add(top):
        shutil.copy(top / "class_2" / "02.png", top / "class_2" / "98.png")

    found = {_of_tree(tree)}
    for number, change in enumerate((rename, move, edit, remove, add)):
        copy = shutil.copytree(tree, tree.with_name(f"copy{number}"))
        change(copy / "train")
        found.add(_of_tree(copy))
    assert len(found) == 6


def test_a_moved_tree_is_the_same_data(tree):
    before = _of_tree(tree)
    assert _of_tree(tree.rename(tree.with_name("elsewhere"))) == before


def test_unchanged_files_are_not_read_again(tree, make_hdf5, settled, monkeypatch):
    path = make_hdf5()
    before = _of_tree(tree), _of_tree(path)
    monkeypatch.setattr(fingerprint, "_together", lambda *parts: pytest.fail("the content was read again"))
    assert (_of_tree(tree), _of_tree(path)) == before


def test_changed_files_are_read_again(make_hdf5, settled):
    path = make_hdf5()
    before = _of_tree(path)
    with h5py.File(path, "r+") as file:
        file["train/labels"][4] = 0
    os.utime(path, (1, 1))  # both writes may fall into one tick of the file system's clock
    assert _of_tree(path) != before


def test_a_split_has_its_own_entry(make_hdf5, settled):
    spec = SourceSpec(data=str(make_hdf5()))
    test = spec.model_copy(update={"split": "test"})
    found = open_source(spec).fingerprint(), open_source(test).fingerprint()
    assert (open_source(spec).fingerprint(), open_source(test).fingerprint()) == found
    assert found[0] != found[1]


def test_files_that_may_still_be_changing_are_not_remembered(make_hdf5, cache_folder):
    _of_tree(make_hdf5())
    assert not cache_folder.exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", "null"])
def test_a_broken_entry_is_not_used(make_hdf5, cache_folder, settled, content):
    path = make_hdf5()
    before = _of_tree(path)
    (entry,) = cache_folder.iterdir()
    entry.write_text(content)
    assert _of_tree(path) == before


def test_a_cache_that_cannot_be_written_is_not_used(make_hdf5, tmp_path, settled, monkeypatch):
    (tmp_path / "file").write_text("where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _of_tree(make_hdf5())
