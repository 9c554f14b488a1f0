import shutil

import pytest

from cache_kd.dump import dump
from cache_kd.errors import ConfigError, ModelError
from cache_kd.lookup import Wanted, find_stores
from cache_kd.merge import MergeConfig, merge
from cache_kd.store.manifest import read_manifest

STUDENT = "resnet8x0.5"


@pytest.fixture
def found(stores):
    """A function of the knobs of a dump: the names of the stores that would serve it."""
    root = stores["float16"].parent
    return lambda **wanted: [entry.path.name for entry in find_stores(root, Wanted(**wanted))]


def test_the_very_settings_of_a_dump_find_its_store(found, images, teacher_weights):
    known = {"data": str(images), "teacher": STUDENT, "checkpoint": teacher_weights, "recipe": "cifar", "seed": 0}
    assert found(**known, codec="float16", views=2, precision="float32") == ["float16"]
    assert found(**known) == ["float16", "float32"]


def test_a_codec_is_known_by_what_a_dump_would_make_of_it(dump_config, tmp_path):
    dump(dump_config(tmp_path / "store", codec={"name": "lowrank", "rank": 64}, views=1))
    stored = read_manifest(tmp_path / "store").codec
    assert stored["rank"] < 64  # of ten classes
    for asked, names in [
        ("lowrank", ["store"]), ({"name": "lowrank", "rank": 64}, ["store"]), (stored, ["store"]),
        ({"name": "lowrank", "rank": 2}, []), ("feature", []), ("float16", []),
    ]:  # fmt: skip
        assert [entry.path.name for entry in find_stores(tmp_path, Wanted(codec=asked))] == names
    with pytest.raises(ConfigError, match="no codec 'float17'"):
        find_stores(tmp_path, Wanted(codec="float17"))


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": "none"}, {"recipe": {"name": "cifar", "pad": 2}}, {"seed": 1}, {"views": 3}, {"teacher": "resnet8"},
        {"precision": "bf16"},
    ],
)  # fmt: skip
def test_any_other_setting_finds_none(found, other):
    assert found(**other) == []


def test_images_and_weights_are_known_by_what_they_are(found, images, teacher_weights, tmp_path):
    import h5py
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    moved = shutil.copy(images, tmp_path / "moved.h5")
    assert found(data=str(moved)) == ["float16", "float32"]
    with h5py.File(moved, "r+") as file:
        file["test/images"][3, 5, 5] ^= 1
    assert found(data=str(moved)) == []
    tensors = load_file(teacher_weights)
    tensors["fc.bias"] += 1
    with safe_open(teacher_weights, framework="pt") as file:
        save_file(tensors, tmp_path / "other.safetensors", metadata=file.metadata())
    assert found(teacher=STUDENT, checkpoint=tmp_path / "other.safetensors") == []


def test_a_damaged_store_serves_nobody(own_store):
    assert len(find_stores(own_store, Wanted())) == 1
    (own_store / "labels" / "c" / "0").unlink()
    assert find_stores(own_store, Wanted()) == []


def test_the_same_weights_behind_another_normalisation_are_another_teacher(
    dump_config, images, teacher_weights, tmp_path
):
    """Of two stores of one checkpoint, the one that the dump with the same options would find complete."""
    other = {"mean": [0.5], "std": [0.5]}
    dump(dump_config(tmp_path / "own", views=1))
    dump(dump_config(tmp_path / "other", views=1, normalise=other))
    weights = {"data": str(images), "teacher": STUDENT, "checkpoint": teacher_weights}

    def names(**wanted):
        return [entry.path.name for entry in find_stores(tmp_path, Wanted(**wanted))]

    assert names(**weights) == ["own"]  # what the checkpoint says of itself
    assert names(**weights, normalise="fashion-mnist") == names(normalise="fashion-mnist") == ["own"]
    assert names(**weights, normalise=other) == names(normalise=other) == ["other"]
    assert names(normalise="cifar100") == []  # of three channels
    assert names() == ["other", "own"]
    with pytest.raises(ConfigError, match="no normalisation 'fashion_mnist'; did you mean 'fashion-mnist'"):
        names(normalise="fashion_mnist")
    for wanted in ({}, {"normalise": other}):
        hit = dump(dump_config(None, catalog=tmp_path, views=1, **wanted))
        assert (hit.computed_rows, [hit.store.rpartition("/")[2]]) == (0, names(**weights, **wanted))


def test_an_ensemble_which_no_dump_can_hit_is_not_found(stores, second_store, tmp_path):
    merge(MergeConfig(members=(stores["float32"], second_store), store=tmp_path / "ensemble"))
    assert find_stores(tmp_path, Wanted()) == []


def test_half_a_question_is_refused(found, teacher_weights, tmp_path):
    with pytest.raises(ConfigError, match="needs --teacher"):
        found(checkpoint=teacher_weights)
    with pytest.raises(ModelError, match="no checkpoint at"):
        found(teacher=STUDENT, checkpoint=tmp_path / "gone.safetensors")
