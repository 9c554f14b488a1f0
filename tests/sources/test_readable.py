"""Trees with broken files: found once, named, left out, and the same samples ever after."""

import os
from contextlib import contextmanager

import numpy as np
import pytest

from cache_kd.errors import ConfigError, SourceError
from cache_kd.sources import SourceSpec, open_source, readable
from cache_kd.sources.source import Decoding

SKIP = Decoding(unreadable="skip")


class Listener:
    """Keeps what a route says and how far its tasks came."""

    def __init__(self):
        self.words, self.tasks, self.done = [], [], 0

    def say(self, message):
        self.words.append(message)

    @contextmanager
    def task(self, title, total, unit):
        self.tasks.append((title, total, unit))

        def advance(done):
            self.done += done

        yield advance


@pytest.fixture
def torn(tree):
    """The tree of twenty training pictures with an empty file, one cut off, a text and a link to nothing."""
    train = tree / "train"
    (train / "class_0" / "03.png").write_bytes(b"")
    cut = train / "class_1" / "04.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    (train / "class_2" / "a new one.JPG").write_text("no picture")
    (train / "class_2" / "b.png").symlink_to(train / "nowhere.png")
    return tree


BROKEN = ("class_0/03.png", "class_1/04.png", "class_2/a new one.JPG", "class_2/b.png")


def _open(top, decode=SKIP, progress=None, **knobs):
    return open_source(SourceSpec(data=str(top), decode=decode, **knobs), progress)


def test_unreadable_files_are_left_out_counted_and_named(torn):
    listener = Listener()
    source = _open(torn, progress=listener)
    assert source.spec.skipped == BROKEN
    assert not set(BROKEN) & set(source.files)
    assert len(source) == len(source.labels()) == 18
    assert [f"class_{label}" for label in source.labels()] == [file.partition("/")[0] for file in source.files]
    assert len(source.images(np.arange(18))) == 18
    (words,) = listener.words
    assert words.startswith(f"4 of 22 images in {torn / 'train'} are left out: {torn}/train/class_0/03.png (0 bytes)")
    assert words.endswith(
        "a new one.JPG (10 bytes) cannot be decoded: it is not of any image format that Pillow knows; and 1 more."
    )
    assert (listener.tasks, listener.done) == ([("decode train", 22, "files")], 22)


def test_nothing_is_said_about_a_whole_tree(tree):
    listener = Listener()
    assert _open(tree, progress=listener).spec.skipped == ()
    assert listener.words == []


def test_unless_asked_nothing_is_left_out_and_the_first_bad_batch_stops(torn):
    listener = Listener()
    source = _open(torn, decode=None, progress=listener)
    assert (len(source), source.spec.skipped, listener.tasks) == (22, (), [])
    message = (
        r"class_0/03\.png \(0 bytes\) cannot be decoded: it is not of any image format that Pillow knows "
        r"\(2 of the 14 images of this batch\)\. Replace or remove what is broken, or .*--unreadable skip"
    )
    with pytest.raises(SourceError, match=message):
        source.images(np.arange(14))


def test_a_second_look_costs_no_decoding(torn, settled, monkeypatch):
    (torn / "train" / "class_2" / "b.png").unlink()
    before = _open(torn)
    monkeypatch.setattr(readable, "attempt", lambda file, how: pytest.fail(f"{file} was decoded again"))
    listener = Listener()
    again = _open(torn, progress=listener)
    assert again.files == before.files
    assert len(listener.words) == 1
    assert listener.tasks == []


@pytest.mark.parametrize("decode", [SKIP.model_copy(update={"orientation": "exif"}), None])
def test_another_decoding_or_a_changed_file_is_looked_at_anew(torn, settled, decode):
    _open(torn)
    if decode is None:
        good = (torn / "train" / "class_1" / "01.png").read_bytes()
        (torn / "train" / "class_1" / "04.png").write_bytes(good)
    listener = Listener()
    source = _open(torn, decode=decode or SKIP, progress=listener)
    assert listener.done == 22
    assert ("class_1/04.png" in source.files) == (decode is None)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="there is no file whose reading fails")
def test_a_file_that_cannot_be_read_now_is_not_taken_for_a_broken_picture(torn):
    """Its first byte gives EIO, as a disk or a network drive does in a bad moment."""
    (torn / "train" / "class_2" / "b.png").unlink()
    (torn / "train" / "class_2" / "b.png").symlink_to("/proc/self/mem")
    message = r"class_2/b\.png cannot be read: Input/output error\. It may be whole, so it is not left out"
    with pytest.raises(SourceError, match=message):
        _open(torn)
    source = _open(torn, decode=None)
    with pytest.raises(SourceError, match=message) as refused:
        source.images(np.array([source.files.index("class_2/b.png"), 0]))
    assert "--unreadable skip" not in str(refused.value)
    with pytest.raises(SourceError, match=r"class_2/b\.png cannot be read: Input/output error"):
        _open(torn, decode=None).fingerprint()


@pytest.mark.parametrize("mend", ["mended", "removed", "as it was"])
def test_who_knows_what_was_left_out_gets_the_same_samples_without_decoding(torn, mend):
    before = _open(torn)
    fingerprint, file = before.fingerprint(), torn / "train" / BROKEN[0]
    if mend == "mended":
        file.write_bytes((torn / "train" / "class_1" / "01.png").read_bytes())
    if mend == "removed":
        file.unlink()
    listener = Listener()
    again = _open(torn, progress=listener, skipped=before.spec.skipped)
    assert again.files == before.files
    assert again.fingerprint() == fingerprint
    assert listener.tasks == listener.words == []


def test_a_class_of_unreadable_files_only_is_refused(tree):
    for file in (tree / "train" / "class_1").iterdir():
        file.write_text("no picture")
    with pytest.raises(SourceError, match=r"class_1: none of its 7 images can be read.*Replace them, or remove"):
        _open(tree)


def test_a_file_that_cannot_be_read_at_all_stops_the_fingerprint(tree):
    (tree / "train" / "class_0" / "link.png").symlink_to(tree / "nowhere.png")
    with pytest.raises(SourceError, match=r"class_0/link\.png cannot be read: No such file.*--unreadable skip"):
        _open(tree, decode=None).fingerprint()


def test_there_is_nothing_to_decode_where_there_are_no_files(make_hdf5, module):
    function = module("import numpy\ndef load(split): return numpy.zeros((2, 4, 4), 'uint8'), [0, 1]")
    for data in (make_hdf5(), f"{function}:load"):
        with pytest.raises(ConfigError, match="is not a folder of image files, so there is nothing to decode"):
            _open(data)
    with pytest.raises(SourceError, match="does not exist as a file or folder"):
        _open("nowhere")
