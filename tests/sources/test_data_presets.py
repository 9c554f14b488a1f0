"""The data sets that have a name: every layout that people have, wrong ones, and what is said of both."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import layouts
import numpy as np
import pytest

from cache_kd.errors import SourceError
from cache_kd.models.normalise import KNOWN
from cache_kd.sources import SourceSpec, open_source
from cache_kd.sources.presence import look_into
from cache_kd.sources.preset import PRESETS, preset_named, preset_of
from cache_kd.sources.source import SPLITS, Decoding
from cache_kd.sources.usual import settled_recipe, usual_normalise
from cache_kd.views import make_recipe

TINY = {"test": layouts.pictures(200, seed=1)}
IMAGENET = {"test": layouts.pictures(30, seed=1)}


class Listener:
    """Keeps what a source says."""

    def __init__(self):
        self.words = []

    def say(self, message):
        self.words.append(message)

    @contextmanager
    def task(self, title, total, unit):
        yield lambda done: None


def _open(name, root, split="train", **knobs):
    return open_source(SourceSpec(data=name, root=str(root), split=split, **knobs))


@pytest.fixture
def tiny(named_root, tmp_path):
    """A copy of Tiny ImageNet's small tree that a test may damage."""
    return shutil.copytree(named_root("tiny-imagenet")[0], tmp_path / "own") / "tiny-imagenet-200"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_what_a_preset_names_is_there(preset):
    make_recipe(preset.recipe)
    assert len(KNOWN[preset.normalise].mean) == 3
    for split in SPLITS:
        fewest, most = preset.per_class[split]
        assert fewest * preset.classes <= preset.images[split] <= most * preset.classes
    assert preset_named(preset.name) is preset
    assert (preset.listing is None) == (preset.torchvision is not None)


@pytest.mark.parametrize("words", ["cifar-100", "CIFAR-100", "CIFAR100", "cifar100"])
def test_case_and_hyphens_of_a_name_do_not_matter(words):
    assert preset_named(words).name == "cifar-100"


def test_without_a_root_a_name_is_that_of_a_folder(tmp_path, tree, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tree, "imagenet")
    assert preset_of(SourceSpec(data="imagenet")) is None
    assert len(open_source(SourceSpec(data="imagenet"))) == 20


def test_without_a_root_and_a_folder_the_root_is_asked_for():
    with pytest.raises(SourceError, match=r"Tiny ImageNet needs --root.*kdcache data tiny-imagenet"):
        open_source(SourceSpec(data="tiny-imagenet"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_what_is_nowhere_is_answered_with_the_places(preset, tmp_path):
    with pytest.raises(SourceError, match=f"{tmp_path}.*nothing is downloaded|{tmp_path}.*Nothing is downloaded"):
        _open(preset.name, tmp_path)


def test_the_order_of_tiny_imagenet_is_torchvisions(named_root):
    from torchvision.datasets import ImageFolder

    root, _, _ = named_root("tiny-imagenet")
    source, reference = _open("tiny-imagenet", root), ImageFolder(str(root / "tiny-imagenet-200" / "train"))
    assert source.class_ids == tuple(reference.classes)
    assert [(f"{source.top}/{file}", label) for file, label in zip(source.files, source.labels(), strict=True)] == (
        reference.samples
    )


def test_classes_of_tiny_imagenet_have_names(named_root):
    names = _open("tiny-imagenet", named_root("tiny-imagenet")[0], "test").class_names
    assert names[4] == "goldfish"
    assert (names[3], names[5]) == ("crane", "crane, lifting machine")
    assert len(set(names)) == 200


@pytest.mark.parametrize("val", ["in folders", "deeper", "inside"])
def test_where_the_validation_images_of_tiny_imagenet_lie_changes_nothing(named_root, tmp_path, val):
    layouts.tiny_imagenet(tmp_path, TINY, val=val)
    here = _open("tiny-imagenet", tmp_path, "test")
    there = _open("tiny-imagenet", named_root("tiny-imagenet")[0], "test")
    assert here.fingerprint() == there.fingerprint()
    np.testing.assert_array_equal(here.images(np.arange(200)), TINY["test"])


def test_the_root_may_be_the_folder_itself(named_root):
    root = named_root("tiny-imagenet")[0]
    assert _open("tiny-imagenet", root / "tiny-imagenet-200").files == _open("tiny-imagenet", root).files


def test_a_corrected_list_of_labels_is_other_data_though_no_image_changed(tiny, settled):
    before = _open("tiny-imagenet", tiny, "test").fingerprint()
    lines = (tiny / "val" / "val_annotations.txt").read_text().splitlines()
    first, second = lines[0].split("\t"), lines[1].split("\t")
    first[1], second[1] = second[1], first[1]
    (tiny / "val" / "val_annotations.txt").write_text("\n".join(["\t".join(first), "\t".join(second), *lines[2:]]))
    changed = _open("tiny-imagenet", tiny, "test")
    assert len(changed) == 200
    assert changed.fingerprint() != before


def test_a_name_and_a_plain_folder_are_the_same_data_where_both_read_it(named_root):
    root = named_root("imagenet")[0]
    for split in SPLITS:
        plain = open_source(SourceSpec(data=str(root / "imagenet"), split=split))
        assert plain.fingerprint() == _open("imagenet", root, split).fingerprint()


def test_a_plain_folder_that_is_tiny_imagenets_is_answered_with_its_name(tiny):
    with pytest.raises(SourceError, match=rf"val_annotations\.txt\. Pass --data tiny-imagenet --root {tiny}"):
        open_source(SourceSpec(data=str(tiny), split="test"))


@pytest.mark.parametrize(
    ("val", "folder"),
    [
        ("Kaggle's list", "imagenet"),
        ("Kaggle's list", "ILSVRC/Data/CLS-LOC"),
        ("development kit", "ILSVRC2012"),
    ],
)
def test_flat_validation_images_of_imagenet_are_those_in_folders(named_root, tmp_path, val, folder):
    if val == "development kit":
        pytest.importorskip("scipy")
    layouts.imagenet(tmp_path, IMAGENET, val=val, folder=folder)
    here, there = _open("imagenet", tmp_path, "test"), _open("imagenet", named_root("imagenet")[0], "test")
    np.testing.assert_array_equal(here.labels(), np.arange(30))
    np.testing.assert_array_equal(here.images(np.arange(30)), IMAGENET["test"])
    assert here.fingerprint() == there.fingerprint()
    assert here.class_names[:2] == ("tench", "goldfish")


def _lose_the_list(top):
    (top / "val" / "val_annotations.txt").unlink()


def _shorten_a_line(top):
    file = top / "val" / "val_annotations.txt"
    file.write_text(file.read_text().replace("\t", " ", 6))


def _name_another_class(top):
    file = top / "val" / "val_annotations.txt"
    file.write_text(file.read_text().replace(layouts.TINY[0], "n99999999"))


def _add_an_image(top):
    shutil.copy(top / "val" / "images" / "val_0001.JPEG", top / "val" / "images" / "val_9999.JPEG")


def _lose_the_images(top):
    shutil.rmtree(top / "val" / "images")


def _lose_a_class(top):
    (top / "wnids.txt").write_text("\n".join(layouts.TINY[:199]))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_lose_the_list, r"val_annotations\.txt cannot be read: No such file"),
        (_shorten_a_line, r"val_annotations\.txt, line 1: expected a file name, a tab and a class"),
        (_name_another_class, r"into 'n99999999'; expected one of 200 classes"),
        (_add_an_image, r"has no line for .*val_9999\.JPEG"),
        (_lose_the_images, r"neither the folder images nor folders such as n01443537.*Unpack the zip"),
        (_lose_a_class, r"wnids\.txt has 199 classes; Tiny ImageNet has 200"),
    ],
)
def test_a_wrong_layout_of_tiny_imagenet_is_said_with_the_mend(tiny, damage, words):
    damage(tiny)
    with pytest.raises(SourceError, match=words):
        _open("tiny-imagenet", tiny, "test")


def test_a_training_class_without_images_is_refused(tiny):
    shutil.rmtree(tiny / "train" / layouts.TINY[7])
    with pytest.raises(SourceError, match=f"train/{layouts.TINY[7]} holds no images"):
        _open("tiny-imagenet", tiny)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            layouts.IMAGENET[:100],
            r"100 folders, such as n01440764; ImageNet has 1000.*a part of ImageNet is data of its",
        ),
        ([*layouts.IMAGENET[:999], "tench"], r"1000 folders, among them 'tench'; ImageNet has 1000, named like"),
    ],
)
def test_what_is_not_the_thousand_classes_is_refused(tmp_path, names, words):
    for name in names:
        (tmp_path / "imagenet" / "train" / name).mkdir(parents=True)
    with pytest.raises(SourceError, match=words):
        _open("imagenet", tmp_path)


def test_flat_validation_images_without_a_list_are_refused(tmp_path):
    layouts.imagenet(tmp_path, IMAGENET, val="flat")
    with pytest.raises(SourceError, match=r"no class folders, and no list of labels.*LOC_val_solution\.csv.*devkit"):
        _open("imagenet", tmp_path, "test")


def test_a_broken_list_of_kaggle_is_named_with_its_line(tmp_path):
    layouts.imagenet(tmp_path, IMAGENET, val="flat")
    (tmp_path / "imagenet" / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nILSVRC2012_val_00000001\n")
    with pytest.raises(SourceError, match=r"LOC_val_solution\.csv, line 2: expected an image, a comma and a class"):
        _open("imagenet", tmp_path, "test")


def test_validation_images_join_training_only_by_name(named_root):
    root = named_root("cinic-10")[0]
    alone, joined = _open("cinic-10", root), _open("cinic-10+valid", root)
    assert (len(alone), len(joined)) == (20, 40)
    assert not any("valid" in file for file in alone.files)
    assert _open("cinic-10+valid", root, "test").fingerprint() == _open("cinic-10", root, "test").fingerprint()


def test_unreadable_files_of_a_named_set_are_left_out_and_known_again(tiny):
    (tiny / "val" / "images" / "val_0200.JPEG").write_bytes(b"")
    for of in layouts.TINY[:2]:  # so that the class of the broken image keeps another one
        shutil.copy(tiny / "val" / "images" / "val_0199.JPEG", tiny / "val" / "images" / f"more_{of}.JPEG")
    with (tiny / "val" / "val_annotations.txt").open("a") as lines:
        lines.writelines(f"more_{of}.JPEG\t{of}\t0\t0\t1\t1\n" for of in layouts.TINY[:2])
    source = _open("tiny-imagenet", tiny, "test", decode=Decoding(unreadable="skip"))
    assert source.spec.skipped == ("val_0200.JPEG",)
    again = _open("tiny-imagenet", tiny, "test", skipped=source.spec.skipped)
    assert again.fingerprint() == source.fingerprint()


def test_too_few_images_are_said(named_root):
    listener = Listener()
    spec = SourceSpec(data="tiny-imagenet", root=str(named_root("tiny-imagenet")[0]))
    open_source(spec, listener)
    assert listener.words[0].startswith("Tiny ImageNet: 200 train images are there, 100,000 are expected.")


def _small(name, per_class, pixels=8):
    """The preset as if it had as few images as the small trees have."""
    preset = preset_named(name)
    images = {split: count * preset.classes for split, count in per_class.items()}
    even = {split: (count, count) for split, count in per_class.items()}
    return replace(preset, images=images, per_class=even, pixels=pixels)


def test_what_is_whole_has_no_faults(named_root):
    root = named_root("tiny-imagenet")[0]
    found = look_into(_small("tiny-imagenet", {"train": 1, "test": 1}), str(root))
    assert (found.state, found.faults) == ("whole", ())
    assert found.place == str(root / "tiny-imagenet-200")
    assert (found.splits["test"].images, found.splits["test"].classes, found.splits["test"].decoded) == (200, 200, 64)


def test_what_is_missing_or_wrong_is_listed(tiny):
    (tiny / "val" / "images" / "val_0100.JPEG").unlink()
    (tiny / "train" / layouts.TINY[0] / "images" / f"{layouts.TINY[0]}_0.JPEG").write_text("no picture")
    layouts.save(layouts.pictures(1, size=9)[0], tiny / "train" / layouts.TINY[199] / "images" / "n01443736_0.JPEG")
    found = look_into(_small("tiny-imagenet", {"train": 1, "test": 1}), str(tiny))
    assert found.state == "wrong"
    said = "\n".join(found.faults)
    for words in (
        "test: 199 images; expected 200.",
        "test: 1 classes do not have 1 images: 'thing 100' 0.",
        "n01443537_0.JPEG (10 bytes) cannot be decoded",
        "train: sample 199 has 9x9 pixels; expected 8x8.",
    ):
        assert words in said


def test_a_split_that_cannot_be_opened_is_a_fault_and_the_other_is_counted(tiny):
    _lose_the_list(tiny)
    found = look_into(_small("tiny-imagenet", {"train": 1, "test": 1}), str(tiny))
    assert list(found.splits) == ["train"]
    assert "val_annotations.txt cannot be read" in found.faults[0]


def test_what_is_absent_is_no_fault(tmp_path):
    found = look_into(preset_named("cifar-10"), str(tmp_path))
    assert (found.state, found.faults, found.place) == ("absent", (), None)


def test_a_recipe_that_nobody_asked_for_is_said():
    listener = Listener()
    imagenet, folder = SourceSpec(data="ImageNet", root="."), SourceSpec(data="folder")
    assert settled_recipe(None, imagenet, listener) == "rrc"
    assert settled_recipe(None, folder, listener) == "cifar"
    assert settled_recipe("none", imagenet, listener) == "none"
    assert listener.words == [
        "No --recipe is given: rrc, the usual one on ImageNet.",
        "No --recipe is given: cifar, the default.",
    ]
    assert (usual_normalise(imagenet), usual_normalise(folder)) == ("imagenet", None)
