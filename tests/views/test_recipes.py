"""The contract of every recipe and step in their folders; a new file is tested by being there."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from album import SETTINGS
from PIL import Image

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import digests, make_recipe, make_step, step_names
from cache_kd.views.recipe import Recipe

SEED = 2026
CPU = torch.device("cpu")

UNTOUCHED = """
import random, numpy, torch
from album import SETTINGS, Shown
from cache_kd.views import make_recipe

def states():
    return repr((torch.get_rng_state().tolist(), random.getstate(), numpy.random.get_state()))

before, pictures = states(), numpy.zeros((3, 32, 32, 3), numpy.uint8)
for setting in SETTINGS.values():
    make_recipe(setting).view(Shown(pictures), 0, numpy.arange(3), 0)
assert states() == before
"""

# crc32 over the digests of views 0, 1, 2 of twelve pictures of 32x32x3
GOLDEN = {
    "chain": "ea96e752",
    "cifar+autoaugment": "138ef1ea",
    "cifar+colorjitter": "b2b3c63a",
    "cifar+cutout": "ea96e752",
    "cifar+erasing": "066e5ee0",
    "cifar+randaugment": "dbafe76a",
    "cifar+threeaugment": "f09a1acd",
    "cifar+trivialaugment": "578ca800",
    "cifar": "07978604",
    "groups": "50fab71b",
    "mixed": "33b12792",
    "none": "cc9a50d5",
    "recorded": "6b2be5fe",
    "replay": "5b5e4773",
    "rrc": "1ed0db93",
}


@pytest.fixture(params=SETTINGS)
def setting(request):
    return request.param


@pytest.fixture
def recipe(setting) -> Recipe:
    return make_recipe(SETTINGS[setting])


@pytest.fixture
def view(recipe, album, make_pictures):
    """A function: the pixels of samples in one view, of 150 pictures."""
    shown = album(make_pictures(150))
    return lambda samples, number=0: recipe.view(shown, SEED, np.asarray(samples), number).numpy()


def test_pixels_are_the_golden_ones(setting, recipe, album, make_pictures):
    shown = album(make_pictures())
    views = [recipe.view(shown, SEED, np.arange(12), number).numpy() for number in range(3)]
    together = digests(np.concatenate(views).reshape(1, 3 * 12, -1, 3))
    assert f"{together[0]:08x}" == GOLDEN[setting]


@pytest.mark.parametrize("batch", [1, 13, 143])
def test_batches_of_any_size_give_the_same_pixels(view, batch):
    parts = [view(np.arange(start, min(start + batch, 150)), 1) for start in range(0, 150, batch)]
    np.testing.assert_array_equal(np.concatenate(parts), view(np.arange(150), 1))


def test_order_and_company_change_nothing(view):
    order = np.array([7, 3, 3, 149, 0])
    np.testing.assert_array_equal(view(order, 2), view(np.arange(150), 2)[order])


def test_sample_numbers_beyond_32_bits_are_samples_too(recipe, album, make_pictures):
    if recipe.name == "mixed":
        pytest.skip("partners are rows of the album")
    far = album(make_pictures(), first=5_000_000_000)
    samples = np.arange(12) + far.first
    views = recipe.view(far, SEED, samples, 0).numpy()
    np.testing.assert_array_equal(views[3:5], recipe.view(far, SEED, samples[3:5], 0).numpy())


def test_a_list_of_pictures_is_rendered_like_an_array(recipe, album, make_pictures):
    pictures, samples = make_pictures(), np.arange(12)
    as_list, as_array = (recipe.view(album(kind), SEED, samples, 0) for kind in (list(pictures), pictures))
    assert torch.equal(as_list, as_array)
    np.testing.assert_array_equal(recipe.evaluate(list(pictures)), recipe.evaluate(pictures))


def test_grey_pictures_stay_grey(recipe, album, make_pictures):
    pictures = make_pictures(channels=1)
    assert recipe.view(album(pictures), SEED, np.arange(12), 0).shape[3] == 1
    assert recipe.evaluate(pictures).shape[3] == 1


def test_views_are_uint8_and_the_pictures_are_left_alone(recipe, album, make_pictures):
    pictures = make_pictures()
    before = pictures.copy()
    views = recipe.view(album(pictures), SEED, np.arange(12), 0)
    assert views.dtype == torch.uint8
    assert views.is_contiguous()
    assert tuple(views.shape) == recipe.evaluate(pictures).shape
    np.testing.assert_array_equal(pictures, before)


def test_views_differ_by_view_and_by_seed(recipe, album, make_pictures):
    if recipe.name in ("none", "recorded"):
        return  # of these no seed decides anything
    shown = album(make_pictures(40))
    first, other, reseeded = (
        recipe.view(shown, seed, np.arange(40), number) for seed, number in ((0, 0), (0, recipe.cycle), (1, 0))
    )
    assert not torch.equal(first, other)
    assert not torch.equal(first, reseeded)


def test_every_device_gives_the_same_pixels(recipe, album, make_pictures, by_tensors):
    # without a GPU, torch's own way to the pixels is held against numpy's, both on the CPU
    if recipe.cpu_only:
        pytest.skip("tied to the CPU, and its JSON says so")
    devices = [torch.device("cuda")] if torch.cuda.is_available() else []
    shown = album(make_pictures(40))
    expected = recipe.view(shown, SEED, np.arange(40), 1)
    by_tensors()
    for device in [CPU, *devices]:
        assert torch.equal(recipe.view(shown, SEED, np.arange(40), 1, device).cpu(), expected)


def test_the_plain_view_is_always_the_same(recipe, make_pictures):
    pictures = make_pictures()
    np.testing.assert_array_equal(recipe.evaluate(pictures)[3:5], recipe.evaluate(pictures[3:5]))


@pytest.mark.slow
def test_the_callers_generators_are_not_touched():
    # in a fresh interpreter, because the type checks that run in this one draw from Python's generator
    subprocess.run([sys.executable, "-c", UNTOUCHED], check=True, cwd=Path(__file__).parent)


def test_the_callers_seeds_change_nothing(view):
    views = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        views.append(view(np.arange(12)))
    np.testing.assert_array_equal(*views)


def test_json_gives_the_same_recipe_back(recipe):
    assert make_recipe(recipe.to_json()).to_json() == recipe.to_json()
    assert recipe.to_json()["randomness"] == "philox4x32-10/1"


def test_json_of_another_release_is_refused(recipe):
    with pytest.raises(ConfigError, match="version"):
        make_recipe({**recipe.to_json(), "version": 2})
    with pytest.raises(ConfigError, match="randomness"):
        make_recipe({**recipe.to_json(), "randomness": "philox4x32-10/2"})


def test_an_unknown_knob_is_named(recipe):
    with pytest.raises(ConfigError, match="unknown key 'paddding'"):
        make_recipe({**recipe.to_json(), "paddding": 4})


@pytest.mark.parametrize("name", step_names())
def test_a_steps_knobs_are_whole_numbers_one_row_per_view(name):
    step = make_step(name)
    knobs = step.draw(words(SEED, "test", np.arange(12), 0, step.word_count), 32, 24)
    assert knobs.dtype == np.int64
    assert len(knobs) == 12


@pytest.mark.parametrize("name", step_names())
@pytest.mark.parametrize("size", [(1, 1), (7, 40), (224, 224)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_step_takes_views_of_any_size(name, size, channels, make_pictures):
    step, pixels = make_step(name), torch.from_numpy(make_pictures(6, *size, channels))
    before = pixels.clone()
    knobs = step.draw(words(SEED, "test", np.arange(6), 0, step.word_count), *size)
    changed = step.apply(pixels, torch.from_numpy(knobs))
    assert changed.shape == pixels.shape
    assert changed.dtype == torch.uint8
    assert torch.equal(pixels, before)
    assert torch.equal(step.apply(pixels[:0], torch.from_numpy(knobs[:0])), pixels[:0])


@pytest.mark.parametrize("name", step_names())
def test_a_step_does_not_need_adjoining_memory(name, make_pictures):
    step, pixels = make_step(name), torch.from_numpy(make_pictures(6))
    knobs = torch.from_numpy(step.draw(words(SEED, "test", np.arange(6), 0, step.word_count), 32, 32))
    turned = pixels.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(step.apply(turned, knobs), step.apply(pixels, knobs))


@pytest.mark.parametrize("name", ["cifar", "none"])
def test_recipes_that_keep_the_size_need_one_size(name, album, make_pictures):
    mixed = [make_pictures(1)[0], make_pictures(1, 20, 30)[0]]
    with pytest.raises(ConfigError, match=r"20x30x3 and 32x32x3.*'rrc'"):
        make_recipe(name).view(album(mixed), 0, np.arange(2), 0)
    with pytest.raises(ConfigError, match="needs one size"):
        make_recipe(name).evaluate(mixed)


def test_an_unknown_recipe_is_answered_with_a_guess():
    with pytest.raises(ConfigError, match="did you mean 'cifar'"):
        make_recipe("cifra")
    with pytest.raises(ConfigError, match="found only pad"):
        make_recipe({"pad": 4})


def test_a_setting_has_golden_pixels():
    assert sorted(SETTINGS) == sorted(GOLDEN)


def test_a_digest_is_the_crc32_of_the_bytes():
    assert digests(np.frombuffer(b"123456789", np.uint8).reshape(1, 3, 3, 1))[0] == 0xCBF43926
    mirrored = np.asarray(Image.new("RGB", (4, 4), "red"))[None][:, :, ::-1]
    np.testing.assert_array_equal(digests(mirrored), digests(mirrored.copy()))


@pytest.mark.parametrize(
    ("spec", "words_of_it"),
    [
        ({"name": "rrc", "size": 1 << 20}, "size: .*16000"),
        ({"name": "recorded", "table": "0" * 64, "size": 1 << 20}, "size: .*16000"),
        ({"name": "chain", "base": "none", "steps": [{"name": "cutout", "size": 1 << 70}]}, "size: .*16000"),
        ({"name": "cifar", "pad": 1 << 20}, "pad: .*1000"),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_with_the_bound(spec, words_of_it):
    with pytest.raises(ConfigError, match=words_of_it):
        make_recipe(spec)
