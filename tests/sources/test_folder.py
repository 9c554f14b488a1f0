import os
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cache_kd.errors import SourceError
from cache_kd.sources import SourceSpec, open_source, splits


def _open(top, split="train"):
    return open_source(SourceSpec(data=str(top), split=split))


def test_samples_are_torchvisions(tree):
    from torchvision.datasets import ImageFolder

    source, reference = _open(tree), ImageFolder(str(tree / "train"))
    assert [
        (f"{source.top}/{file}", label) for file, label in zip(source.files, source.labels(), strict=True)
    ] == reference.samples
    assert source.class_names == tuple(reference.classes)
    np.testing.assert_array_equal(source.images(np.array([4]))[0], np.asarray(reference[4][0]))


def test_class_folders_alone_are_the_training_split(tree):
    spec = SourceSpec(data=str(tree / "train"))
    assert splits(spec) == ("train",)
    assert len(open_source(spec)) == 20


def test_images_of_different_sizes_come_as_a_list(tree):
    Image.new("RGB", (30, 20)).save(tree / "train" / "class_0" / "00.png")
    images = _open(tree).images(np.array([0, 1]))
    assert [image.shape for image in images] == [(20, 30, 3), (8, 9, 3)]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr"])
def test_images_of_other_modes_become_rgb(tree, mode):
    file = tree / "train" / "class_0" / ("00.jpg" if mode in ("CMYK", "YCbCr") else "00.png")
    (tree / "train" / "class_0" / "00.png").unlink()
    Image.new("RGB", (9, 8), (255, 255, 255)).convert(mode).save(file)
    assert (_open(tree).images(np.array([0])) >= 254).all()


def test_a_palette_with_transparent_colours_gives_no_warning(tree):
    image = Image.new("P", (9, 8))
    image.putpalette([200, 100, 50] * 4)
    image.save(tree / "train" / "class_0" / "00.png", transparency=b"\x00\x80\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _open(tree).images(np.array([0]))[0, 0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-60], lambda content: b"text"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_broken_file_is_named(tree, damage, suffix):
    whole = tree / "train" / "class_1" / f"99.{suffix}"
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole)
    whole.write_bytes(damage(whole.read_bytes()))
    source = _open(tree)
    broken = source.files.index(f"class_1/99.{suffix}")
    with pytest.raises(
        SourceError, match=rf"class_1/99\.{suffix} \(\d+ bytes\) cannot be decoded.*1 of the 2 images.*Replace"
    ):
        source.images(np.array([0, broken]))
    assert len(source.images(np.array([0]))) == 1


def test_a_file_that_has_gone_is_named(tree):
    source = _open(tree)
    (source.top / source.files[3]).unlink()
    with pytest.raises(SourceError, match=r"\(missing\) cannot be decoded"):
        source.images(np.array([3]))


def test_sixteen_bits_are_refused_rather_than_clipped(tree):
    Image.fromarray(np.full((8, 9), 40_000, np.uint16)).save(tree / "train" / "class_0" / "00.png")
    with pytest.raises(SourceError, match=r"I;16 pixels; expected 8 bits"):
        _open(tree).images(np.array([0]))


def test_names_are_kept_as_they_are(tree):
    odd = ["a b.png", "Größe 猫.png", "UPPER.PNG", "a.jpg.png"]
    for name in odd:
        Image.new("RGB", (9, 8)).save(tree / "train" / "class_2" / name)
    (tree / "train" / "class_2" / "folder.jpg").mkdir()
    Image.new("RGB", (9, 8)).save(tree / "train" / "class_2" / "folder.jpg" / "inside.png")
    source = _open(tree)
    found = {file for file in source.files if not file[-6:-4].isdigit()}
    assert found == {f"class_2/{name}" for name in [*odd, "folder.jpg/inside.png"]}
    assert len(source.images(np.arange(len(source)))) == 25
    assert source.fingerprint() == _open(tree).fingerprint()


def test_a_name_that_is_no_text_is_refused(tree):
    with open(os.fsencode(tree / "train" / "class_0") + b"/\xff.png", "w"):
        pass
    with pytest.raises(SourceError, match=r"class_0: the name '.udcff\.png' is not UTF-8\. Rename"):
        _open(tree)


def test_a_folder_that_cannot_be_listed_is_refused_rather_than_taken_for_empty(tree, monkeypatch):
    def refuse(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"tree/train cannot be listed: Permission denied"):
        _open(tree)


def test_a_copy_in_another_process_is_the_same_source(tree):
    source = _open(tree)
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.files, copy.top, copy.spec, copy.fingerprint()) == (
        source.files, source.top, source.spec, source.fingerprint()
    )  # fmt: skip
    np.testing.assert_array_equal(copy.images(np.arange(20)), source.images(np.arange(20)))


def test_a_pickled_file_costs_its_name_and_its_label(tree):
    one = _open(tree)
    many = replace(one, files=tuple(f"class_0/{number:020}.png" for number in range(1000)), all_labels=np.arange(1000))
    assert len(pickle.dumps(many)) < len(pickle.dumps(one)) + 1000 * (32 + 8 + 8)


def test_a_class_that_only_the_test_images_have_is_refused(tree):
    (tree / "val" / "class_9").mkdir()
    with pytest.raises(SourceError, match="'class_9' that the training images lack; did you mean 'class_2'"):
        _open(tree, "test")


def test_a_class_without_images_is_named(tree):
    (tree / "train" / "class_1a").mkdir()
    (tree / "train" / "class_1a" / "notes.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"class_1a holds no images; expected files ending in \.bmp"):
        _open(tree)


def test_the_test_images_may_lack_a_class(tree):
    for file in (tree / "val" / "class_1").iterdir():
        file.unlink()
    source = _open(tree, "test")
    assert source.classes == 3
    assert set(source.labels()) == {0, 2}


def test_a_folder_without_folders_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="has no folders; expected one folder of images per class"):
        _open(tmp_path / "empty")
