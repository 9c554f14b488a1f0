"""Trees of image files through both routes: broken files, decoders, orientation, pictures of odd sizes."""

import shutil

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError, SourceError, StoreMismatch
from cache_kd.models.checkpoint import save_weights
from cache_kd.models.zoo import build
from cache_kd.opened import open_store
from cache_kd.progress import Silent
from cache_kd.sources import SourceSpec, open_source
from cache_kd.sources.source import Decoding
from cache_kd.store.manifest import differences, read_manifest
from cache_kd.train import TrainConfig, train
from cache_kd.verify import verify
from cache_kd.views import make_recipe

TEACHER = "resnet8x0.5"
RECIPE = {"name": "rrc", "size": 16}
BROKEN = "cat/12.jpg"


class Listener(Silent):
    """Keeps what a route says."""

    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Fifty JPEGs of two classes, one in three held on its side by the camera."""
    top = tmp_path_factory.mktemp("photographs")
    numbers = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (top / name).mkdir()
        for number in range(25):
            height, width = numbers.integers(10, 40, 2)
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = 6 if number % 3 == 0 else 1
            picture = Image.fromarray(numbers.integers(0, 256, (height, width, 3), dtype=np.uint8))
            picture.save(top / name / f"{number:02}.jpg", exif=exif)
    return top


@pytest.fixture
def torn(photographs, tmp_path):
    """The same with one file cut off in the middle of the tree."""
    top = shutil.copytree(photographs, tmp_path / "tree")
    (top / BROKEN).write_bytes((top / BROKEN).read_bytes()[:-300])
    return top


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A teacher that has seen nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "weights.safetensors"
    about = {"classes": 2, "normalise": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    save_weights(build(TEACHER, classes=2, channels=3), path, about)
    return path


@pytest.fixture
def config(weights, tmp_path):
    """A function that makes a DumpConfig of a tree."""

    def make(data, **changes):
        knobs = {
            "data": str(data), "teacher": TEACHER, "checkpoint": weights, "recipe": RECIPE, "views": 2,
            "store": tmp_path / "store", "batch_size": 8, "device": "cpu", "decode": Decoding(unreadable="skip"),
        }  # fmt: skip
        return DumpConfig(**(knobs | changes))

    return make


def test_a_broken_file_stops_the_dump_with_its_name(torn, config):
    with pytest.raises(
        SourceError, match=r"cat/12\.jpg \(\d+ bytes\) cannot be decoded: image file is truncated.*1 of"
    ):
        dump(config(torn, decode=None))


def test_a_broken_file_that_was_replaced_is_other_data(photographs, torn, config):
    dump(config(torn))
    shutil.copy(photographs / BROKEN, torn / BROKEN)
    with pytest.raises(StoreMismatch, match="fingerprint"):
        dump(config(torn, decode=None))


def test_without_the_broken_file_both_routes_go_through(photographs, torn, config, tmp_path):
    listener = Listener()
    result = dump(config(torn), listener)
    assert result.samples == 49
    assert f"1 of 50 images in {torn} are left out: {torn / BROKEN} (" in listener.said[0]
    assert "2 views x 49 images" in listener.said[1]
    manifest = read_manifest(tmp_path / "store")
    assert manifest.source.skipped == {"train": (BROKEN,)}
    assert manifest.source.decode.unreadable == "skip"
    assert dump(config(torn)).computed_rows == 0

    shutil.copy(photographs / BROKEN, torn / BROKEN)  # mended: the samples stay those of the store
    assert BROKEN not in open_store(tmp_path / "store").source.files
    student = TrainConfig(student=TEACHER, out=tmp_path / "run", store=tmp_path / "store", method="rld", epochs=1,
                          check="all", device="cpu")  # fmt: skip
    train(student)
    assert (tmp_path / "run" / "weights.safetensors").exists()
    assert verify(tmp_path / "store", rows=20, device="cpu", deep=True).holds
    with pytest.raises(StoreMismatch, match=r"parts\.train\.samples"):
        dump(config(torn))


def test_what_was_left_out_goes_with_its_split(photographs, torn, config, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(photographs, both / "train")
    shutil.copytree(torn, both / "val")
    dump(config(both))
    manifest = read_manifest(tmp_path / "store")
    assert manifest.source.skipped == {"test": (BROKEN,)}
    assert {name: part.samples for name, part in manifest.parts.items()} == {"train": 50, "test": 49}
    assert verify(tmp_path / "store", rows=6, device="cpu").holds


def test_the_choice_between_stop_and_skip_changes_no_store_of_a_whole_tree(photographs, config):
    assert dump(config(photographs)).computed_rows == 100
    assert dump(config(photographs, decode=None)).computed_rows == 0


@pytest.mark.parametrize(
    ("decode", "field"),
    [
        ({"backend": "torchvision"}, r"decode\.backend.*pillow/1.*torchvision/1"),
        ({"orientation": "exif"}, r"decode\.orientation.*as stored.*exif"),
    ],
)
def test_another_decoding_is_another_store(photographs, config, decode, field):
    dump(config(photographs, decode=None))
    with pytest.raises(StoreMismatch, match=field):
        dump(config(photographs, decode=decode))


@pytest.mark.parametrize("decode", [{"backend": "torchvision", "orientation": "exif"}, {"orientation": "exif"}, None])
def test_a_store_opens_its_images_as_they_were_decoded(photographs, config, tmp_path, decode):
    dump(config(photographs, decode=decode))
    assert open_store(tmp_path / "store").source.spec.decode == Decoding(**(decode or {}))
    found = verify(tmp_path / "store", rows=30, device="cpu")
    assert found.holds
    assert found.pixels_equal


def test_the_manifest_names_the_decoding_and_the_command_repeats_it(photographs, config, tmp_path):
    decode = {"backend": "torchvision", "orientation": "exif", "unreadable": "skip"}
    dump(config(photographs, decode=decode))
    manifest = read_manifest(tmp_path / "store")
    assert manifest.source.decode.model_dump() == decode | {"backend": "torchvision/1"}
    command = manifest.dump_command(tmp_path / "store")
    assert "--decode torchvision --unreadable skip" in command
    assert " --exif" in command
    assert manifest.environment["libjpeg_turbo"].count(".") >= 1
    assert manifest.environment["cpu_capability"]


def test_pictures_in_memory_have_no_decoding(dump_config, own_store):
    manifest = read_manifest(own_store)
    assert manifest.source.decode is None
    assert "decode" not in manifest.identity()
    assert "--decode" not in manifest.dump_command(own_store)
    assert differences(manifest, manifest) == []
    with pytest.raises(ConfigError, match="is not a folder of image files, so there is nothing to decode"):
        dump(dump_config(own_store, decode=Decoding()))


@pytest.fixture
def tiny(tmp_path):
    """One pixel, one row, one column, and one picture of 20x30."""
    for number, size in enumerate([(1, 1), (50, 1), (1, 50), (30, 20)]):
        (tmp_path / "tiny" / "cat").mkdir(parents=True, exist_ok=True)
        Image.effect_noise(size, 50).convert("RGB").save(tmp_path / "tiny" / "cat" / f"{number}.png")
    return open_source(SourceSpec(data=str(tmp_path / "tiny")))


def test_pictures_smaller_than_the_crop_are_enlarged_by_rrc(tiny):
    recipe, samples = make_recipe(RECIPE), np.arange(4)
    views = recipe.view(tiny, 0, samples, 0).numpy()
    assert views.shape == recipe.evaluate(tiny.images(samples)).shape == (4, 16, 16, 3)
    assert (views[0] == tiny.images(samples)[0]).all()


def test_cifar_takes_pictures_of_any_one_size_and_refuses_several(tiny):
    recipe = make_recipe("cifar")
    assert recipe.view(tiny, 0, np.array([0, 0]), 0).shape == (2, 1, 1, 3)
    with pytest.raises(ConfigError, match=r"needs one size; here are 1x1x3 and 50x1x3.*'rrc', which resizes"):
        recipe.view(tiny, 0, np.arange(4), 0)
