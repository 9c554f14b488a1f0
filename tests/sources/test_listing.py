"""Listings of folders: remembered while the folders are unchanged, and never beyond."""

import os

import pytest

from cache_kd.errors import SourceError
from cache_kd.sources import listing
from cache_kd.sources.listing import class_folders, image_files


@pytest.fixture
def top(tmp_path, settled):
    """Two folders with two images each, and a text."""
    for name in ("a/2.png", "a/1.JPG", "b/1.png", "b/3.webp", "b/notes.txt"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).touch()
    return tmp_path / "top"


def _unlistable(monkeypatch):
    monkeypatch.setattr(listing, "_flat", lambda places: pytest.fail("the folders were listed again"))


def test_images_come_folder_by_folder_sorted(top):
    assert image_files(top, ["a", "b", "absent"]) == (["a/1.JPG", "a/2.png"], ["b/1.png", "b/3.webp"], [])
    assert image_files(top / "b", [""]) == (["1.png", "3.webp"],)


def test_unchanged_folders_are_not_listed_again(top, monkeypatch):
    before = image_files(top, ["a", "b"])
    _unlistable(monkeypatch)
    assert image_files(top, ["a", "b"]) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda b: (b / "4.png").touch(), ["b/1.png", "b/3.webp", "b/4.png"]),
        (lambda b: (b / "1.png").unlink(), ["b/3.webp"]),
        (lambda b: (b / "1.png").rename(b / "5.png"), ["b/3.webp", "b/5.png"]),
        (lambda b: b.rename(b.with_name("c")), []),
    ],
)
def test_every_change_of_a_folder_is_noticed(top, change, expected):
    image_files(top, ["a", "b"])
    change(top / "b")
    assert image_files(top, ["a", "b"])[1] == expected


def test_folders_within_folders_are_listed_every_time(top):
    (top / "b" / "deeper").mkdir()
    (top / "b" / "deeper" / "0.png").touch()
    assert image_files(top, ["b"]) == (["b/1.png", "b/3.webp", "b/deeper/0.png"],)
    times = os.stat(top / "b").st_mtime_ns
    (top / "b" / "deeper" / "7.png").touch()
    assert os.stat(top / "b").st_mtime_ns == times
    assert image_files(top, ["b"])[0][-1] == "b/deeper/7.png"
    assert image_files(top / "b", [""])[0][0] == "1.png"


def test_a_folder_that_cannot_be_listed_is_refused(top, monkeypatch):
    def refuse(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"top/a cannot be listed: Permission denied"):
        image_files(top, ["a"])


@pytest.mark.parametrize("deep", [False, True])
def test_hidden_names_are_no_images_and_no_folders(top, deep):
    if deep:
        (top / "a" / "deeper").mkdir()
        (top / "a" / "deeper" / "0.png").touch()
    before = image_files(top, ["a", "b"])
    for name in ("a/._2.png", "a/.hidden/3.png", "b/.ipynb_checkpoints/1-checkpoint.png", "a/deeper/._0.png"):
        if deep or "deeper" not in name:
            (top / name).parent.mkdir(exist_ok=True)
            (top / name).touch()
    assert image_files(top, ["a", "b"]) == before
    assert image_files(top / "b", [""]) == (["1.png", "3.webp"],)


@pytest.mark.parametrize(
    ("links", "named"),
    [({"a/self": "a"}, "a/self"), ({"a/up": "."}, "a/up/a"), ({"a/to_b": "b", "b/to_a": "a"}, "a/to_b/to_a")],
)
def test_a_folder_within_itself_is_refused(top, links, named):
    for link, target in links.items():
        (top / link).symlink_to(top / target)
    with pytest.raises(SourceError, match=rf"top/{named} leads back to a folder that it lies in; .* Remove the link"):
        image_files(top, ["a"])


def test_two_links_to_one_folder_beside_them_are_two_folders(top):
    (top / "a" / "one").symlink_to(top / "b")
    (top / "a" / "two").symlink_to(top / "b")
    assert len(image_files(top, ["a"])[0]) == 6


def test_a_folder_whose_name_is_no_text_is_refused(top):
    os.mkdir(os.fsencode(top) + b"/caf\xe9")
    with pytest.raises(SourceError, match=r"top: the name 'caf\\udce9' is not UTF-8\. Rename the file or its folder"):
        class_folders(top)
