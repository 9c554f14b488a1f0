"""Soft labels and images find each other by the ends of their paths, all of them or none."""

import pytest

from cache_kd.errors import StoreMismatch
from cache_kd.exchange.fkd_pairs import files_of_images

IMAGES = ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]


@pytest.fixture
def folder(tmp_path):
    """A function that makes empty files below a folder, and gives the folder."""

    def make(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return tmp_path

    return make


def found(folder, images):
    return [path.relative_to(folder).as_posix() for path in files_of_images(folder, images)]


@pytest.mark.parametrize("above", ["", "train/", "imagenet/train/"])
def test_folders_above_the_classes_may_be_there_or_not(folder, above):
    files = [f"{above}cat/1.tar", f"{above}cat/2.tar", f"{above}dog/1.tar"]
    assert found(folder(*files, f"{above}README.md"), IMAGES) == files


def test_deeper_trees_keep_the_last_three_folders(folder):
    images = ["cat/a/1.jpg", "cat/a/b/1.jpg", "cat/a/b/c/1.jpg", "cat/1.jpg"]
    files = ["train/cat/a/1.tar", "cat/a/b/1.tar", "a/b/c/1.tar", "imagenet/train/cat/1.tar"]
    assert found(folder(*files), images) == files


def test_names_are_cut_at_their_first_dot_and_folders_are_not(folder):
    images = ["v1.0/x.small.jpg", "v1.0/y.JPEG", "v1.5/x.jpg"]
    files = ["train/v1.0/x.tar", "train/v1.0/y.tar", "train/v1.5/x.tar"]
    assert found(folder(*files), images) == files


@pytest.mark.parametrize(
    ("images", "files", "words"),
    [
        (IMAGES, ["cat/1.tar", "dog/1.tar"], r"1 of 3 images have no file .* first is cat/2\.jpg: .*cat/2\.tar"),
        (IMAGES, ["1.tar"], r"3 of 3 images have no file"),
        (IMAGES[:1], ["cat/1.tar", "cow/7.tar", "dog/1.tar"], r"2 files below .* no training image, .* cow/7\.tar"),
        (IMAGES[:1], ["a/cat/1.tar", "b/cat/1.tar"], r"two files for .* cat/1\.jpg: a/cat/1\.tar and b/cat/1\.tar"),
        (["cat/x.1.jpg", "cat/x.2.jpg"], ["cat/x.tar"], r"one file, cat/x\.tar, for .* cat/x\.1\.jpg and cat/x\.2"),
        (["cat/x.jpg", "cat/x.png"], ["cat/x.tar"], "cuts names at their first dot"),
        (["k/a/b/c/1.jpg", "l/a/b/c/1.jpg"], ["a/b/c/1.tar"], "Nobody knows whose"),
    ],
)  # fmt: skip
def test_what_does_not_pair_is_counted_and_the_first_is_named(folder, images, files, words):
    with pytest.raises(StoreMismatch, match=words):
        files_of_images(folder(*files), images)
