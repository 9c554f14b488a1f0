import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import own_transforms
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import digests, make_recipe
from cache_kd.views.generators import held_generators, seed_generators
from cache_kd.views.replay import PURPOSE

OWN = "own_transforms:"
REPLAYING = ["of_all_three", "of_torchvision_v1", "of_torchvision_v2", "pil_of_torchvision_v2"]

ELSEWHERE = """
import sys
import numpy as np
from album import Shown, make_pictures
from cache_kd.views import digests, make_recipe
for name in sys.argv[1:]:
    recipe = make_recipe("own_transforms:" + name)
    print(*digests(recipe.view(Shown(make_pictures()), 3, np.arange(12)[::-1].copy(), 5).numpy()))
"""


@pytest.mark.parametrize("name", REPLAYING)
def test_batch_order_and_ambient_generators_change_nothing(name, album, make_pictures):
    recipe, shown = make_recipe(OWN + name), album(make_pictures(24))
    whole = recipe.view(shown, 3, np.arange(24), 1)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    for samples in (np.array([5]), np.array([23, 2, 2, 11]), np.arange(24)[::-1].copy()):
        assert torch.equal(recipe.view(shown, 3, samples, 1), whole[torch.from_numpy(samples)])


@pytest.mark.slow
def test_another_process_renders_the_same(album, make_pictures):
    shown, samples = album(make_pictures()), np.arange(12)[::-1].copy()
    here = [digests(make_recipe(OWN + name).view(shown, 3, samples, 5).numpy()) for name in REPLAYING]
    command = [sys.executable, "-c", ELSEWHERE, *REPLAYING]
    there = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent).stdout
    np.testing.assert_array_equal(here, np.loadtxt(there.splitlines(), dtype=np.uint32))


def test_a_view_is_the_transform_called_with_the_keyed_seeds(album, make_pictures):
    pictures = make_pictures()
    views = make_recipe(OWN + "pil_of_torchvision_v2").view(album(pictures), 3, np.arange(12), 2)
    for row, seeds in enumerate(words(3, PURPOSE, np.arange(12), 2, 3).tolist()):
        with held_generators():
            seed_generators(*seeds)
            expected = own_transforms.pil_of_torchvision_v2(Image.fromarray(pictures[row]))
        np.testing.assert_array_equal(views[row], np.asarray(expected))


def test_threads_do_not_spoil_each_others_pictures(album, make_pictures):
    # drawn by torch, because the type checks that run in the other threads draw from Python's generator
    recipe, shown = make_recipe(OWN + "pil_of_torchvision_v2"), album(make_pictures(64))
    expected = recipe.view(shown, 0, np.arange(64), 0)
    parts = [np.arange(start, start + 4) for start in range(0, 64, 4)] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda samples: recipe.view(shown, 0, samples, 0), parts))
    assert torch.equal(torch.cat(found), expected.repeat(4, 1, 1, 1))


def test_timms_own_training_transform_replays(album, make_pictures, tmp_path, monkeypatch):
    pytest.importorskip("timm")
    recipe = _module(
        tmp_path,
        monkeypatch,
        "of_timm",
        "from timm.data import create_transform\n"
        "whole = create_transform(24, is_training=True, auto_augment='rand-m9-mstd0.5-inc1', interpolation='random')\n"
        "transform = type(whole)(whole.transforms[:-2])\n",
    )
    shown = album(make_pictures())
    whole = recipe.view(shown, 0, np.arange(12), 0)
    assert torch.equal(recipe.view(shown, 0, np.arange(12)[::-1].copy(), 0).flip(0), whole)
    assert not torch.equal(recipe.view(shown, 0, np.arange(12), 1), whole)


@pytest.mark.parametrize(
    "last",
    [
        lambda picture: Image.fromarray(picture),
        lambda picture: picture,
        lambda picture: picture.astype(np.float64) / 255,
        lambda picture: torch.from_numpy(picture).permute(2, 0, 1),
        lambda picture: v2.functional.to_image(picture),
        lambda picture: v2.functional.to_tensor(picture),
        lambda picture: v2.functional.to_dtype(v2.functional.to_image(picture), torch.float32, scale=True),
        lambda picture: v2.functional.to_dtype(v2.functional.to_image(picture), torch.float64, scale=True),
    ],
    ids=["pil", "array", "floats", "tensor", "image", "to_tensor", "to_float32", "to_float64"],
)
@pytest.mark.filterwarnings("ignore:The function `to_tensor")
def test_all_256_values_come_back_in_every_form(last, album, monkeypatch):
    every_value = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    monkeypatch.setattr(own_transforms, "unchanged", lambda picture: last(np.asarray(picture).copy()))
    view = make_recipe({"name": "replay", "function": OWN + "unchanged", "code": "-"})
    np.testing.assert_array_equal(view.view(album(every_value[None]), 0, np.arange(1), 0)[0], every_value)


def test_a_grey_picture_may_come_back_without_channels(album, make_pictures, monkeypatch):
    pictures = make_pictures(3, channels=1)
    monkeypatch.setattr(own_transforms, "unchanged", lambda picture: np.asarray(picture))
    np.testing.assert_array_equal(
        make_recipe({"name": "replay", "function": OWN + "unchanged", "code": "-"}).view(
            album(pictures), 0, np.arange(3), 0
        ),
        pictures,
    )


def test_pictures_of_several_sizes_are_brought_to_one(album, make_pictures):
    mixed = [make_pictures(1, 40, 60)[0], make_pictures(1, 90, 30)[0]]
    recipe = make_recipe({"name": "replay", "function": OWN + "of_torchvision_v1", "test": OWN + "centre"})
    assert recipe.view(album(mixed), 0, np.arange(2), 0).shape == (2, 20, 20, 3)
    np.testing.assert_array_equal(recipe.evaluate(mixed)[0], mixed[0][10:30, 20:40])


def test_a_test_transform_that_draws_depends_on_the_picture_alone(make_pictures):
    recipe = make_recipe({"name": "replay", "function": OWN + "of_torchvision_v1", "test": OWN + "jittered"})
    pictures = make_pictures()
    np.testing.assert_array_equal(recipe.evaluate(pictures)[3:5], recipe.evaluate(pictures[3:5]))


def test_test_images_of_several_sizes_need_a_transform(make_pictures):
    with pytest.raises(ConfigError, match=r"32x32x3 for test picture 0 .* 20x30x3 .* name a transform for test images"):
        make_recipe(OWN + "of_torchvision_v1").evaluate([make_pictures(1)[0], make_pictures(1, 20, 30)[0]])


@pytest.mark.parametrize(
    ("name", "words_of_it"),
    [
        ("failing", r"own_transforms:failing fails on sample 4, view 7 .*ZeroDivisionError.*own_transforms.py, line"),
        ("failing_inside", r"TypeError.*own_transforms.py, line"),
        ("needing_two", r"missing 1 required positional argument: 'label'\. It is called with one PIL image"),
        ("normalised", r"sample 4, view 7 returned floats from .*Leave Normalize out.*on the batch"),
        ("in_floats", r"between the 256 values.*before ToTensor"),
        ("two_views", r"returned list; expected one picture.*the recipe 'groups'"),
        ("of_two_sizes", r"gives \d+x\d+x3 for sample 4, view 7, but .*end it with a crop or resize"),
        ("make_transform", r"returned RandomCrop; .*package\.module:transform"),
        ("of_palette", r"mode P.*convert\('RGB'\)"),
        ("four_channels", r"uint8 Tensor \[4, 8, 8\]; expected 1 or 3 channels"),
        ("of_16_bits", r"uint16 ndarray \[8, 8, 3\]; expected uint8"),
        ("of_bfloat16", r"bfloat16 Tensor \[3, 8, 8\]; expected uint8, or floats from 0 to 1"),
        ("sparse", r"sparse uint8 Tensor \[3, 8, 8\]; expected one picture"),
    ],
)
def test_what_gives_no_picture_is_refused_by_name(name, words_of_it, album, make_pictures):
    with pytest.raises(ConfigError, match=words_of_it):
        make_recipe(OWN + name).view(album(make_pictures(16)), 0, np.arange(4, 16), 7)


def test_a_failing_transform_leaves_the_generators_as_they_were(album, make_pictures):
    before = torch.get_rng_state(), str(np.random.get_state())
    with pytest.raises(ConfigError):
        make_recipe(OWN + "failing").view(album(make_pictures()), 0, np.arange(12), 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]


def test_a_module_that_seeds_while_it_is_imported_leaves_them_too(tmp_path, monkeypatch):
    before = torch.get_rng_state()
    _module(
        tmp_path, monkeypatch, "seeding", "import torch\ntorch.manual_seed(0)\ntransform = lambda picture: picture\n"
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_pictures_that_pil_has_no_mode_for_are_refused(album, make_pictures):
    with pytest.raises(ConfigError, match="4 channels"):
        make_recipe(OWN + "unchanged").view(album(make_pictures(channels=4)), 0, np.arange(2), 0)


def test_another_device_is_refused(album, make_pictures):
    with pytest.raises(ConfigError, match="on the CPU only; cuda"):
        make_recipe(OWN + "unchanged").view(album(make_pictures()), 0, np.arange(2), 0, torch.device("cuda"))


def test_a_recipe_with_its_code_imports_nothing_before_the_first_view(album, make_pictures):
    recipe = make_recipe({"name": "replay", "function": "not_there:transform", "code": "0123456789abcdef"})
    assert recipe.functions == ("not_there:transform",)
    with pytest.raises(ConfigError, match="'not_there' does not import"):
        recipe.view(album(make_pictures()), 0, np.arange(2), 0)


def test_words_name_a_transform_and_steps_after_it():
    recipe = make_recipe(OWN + "unchanged+cutout")
    assert recipe.functions == (OWN + "unchanged",)
    assert recipe.takes_the_generators
    assert recipe.cpu_only
    assert make_recipe("cifar+cutout").functions == ()


def test_changed_code_is_known_by_its_digest(tmp_path, monkeypatch):
    recipe = _module(tmp_path, monkeypatch, "edited", "def transform(picture):\n    return picture\n")
    assert recipe.changed() is None
    (tmp_path / "edited.py").write_text("def transform(picture):\n    return picture.rotate(90)\n")
    assert f"the code of edited:transform (digest {recipe.code} then, " in recipe.changed()


def test_the_code_of_an_instance_is_the_module_that_names_it(tmp_path, monkeypatch):
    line = "from torchvision.transforms import v2\ntransform = v2.RandomCrop({})\n"
    small, large = (_module(tmp_path, monkeypatch, f"crop{size}", line.format(size)) for size in (8, 9))
    assert small.code != large.code


def test_the_test_transform_is_part_of_the_code(tmp_path, monkeypatch):
    recipe = _module(tmp_path, monkeypatch, "alone", "def transform(picture):\n    return picture\n")
    both = make_recipe({"name": "replay", "function": "alone:transform", "test": OWN + "centre"})
    assert both.code != recipe.code
    assert both.functions == ("alone:transform", OWN + "centre")


@pytest.mark.parametrize(
    ("name", "words_of_it"),
    [
        ("not_there:transform", "does not import"),
        (OWN + "not_there", "has no function 'not_there'"),
        ("builtins:print", "has no source file.*file of its own"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_when_the_recipe_is_made(name, words_of_it):
    with pytest.raises(ConfigError, match=words_of_it):
        make_recipe(name)


@pytest.mark.parametrize("field", ["function", "test"])
def test_a_name_of_another_form_is_refused(field):
    with pytest.raises(ConfigError, match=rf"{field}: write package\.module:function"):
        make_recipe({"name": "replay", "function": OWN + "unchanged", field: "own_transforms"})


def _module(folder, monkeypatch, name, source):
    """The recipe of `transform` in a new module."""
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return make_recipe(f"{name}:transform")
