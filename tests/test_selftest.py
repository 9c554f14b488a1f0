import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from cache_kd.errors import ConfigError
from cache_kd.selftest import check_replays
from cache_kd.views import Recipe, make_recipe

# transforms as users write them: name -> source, and the words that the refusal must hold
REFUSED = {
    "own_numpy": (
        "class Shift:\n"
        "    def __init__(self):\n"
        "        self.rng = np.random.default_rng()\n"
        "    def __call__(self, picture):\n"
        "        return np.roll(picture, self.rng.integers(32), 1)\n"
        "transform = Shift()\n",
        r"keeps state from call to call, in own_numpy\.transform\.rng \(a numpy\.Generator\)",
    ),
    "seeded_once": (
        "rng = random.Random(0)\n"
        "def transform(picture):\n"
        "    return np.roll(picture, rng.randrange(32), 1)\n",
        r"keeps state .* in seeded_once\.rng \(a random\.Random\)",
    ),
    "own_torch": (
        "def make():\n"
        "    generator = torch.Generator()\n"
        "    return lambda picture: np.roll(picture, int(torch.randint(32, (), generator=generator)), 1)\n"
        "transform = make()\n",
        r"keeps state .* in own_torch\.transform\.generator \(a torch\.Generator\)",
    ),
    "counting": (
        "class Shift:\n"
        "    calls = 0\n"
        "    def __call__(self, picture):\n"
        "        Shift.calls += 1\n"
        "        return np.roll(picture, Shift.calls % 8, 1)\n"
        "transform = Shift()\n",
        r"keeps state .* in counting\.Shift\.calls",
    ),
    "drawn_for_eight": (
        "drawn = {'left': 0}\n"
        "def transform(picture):\n"
        "    if not drawn['left']:\n"
        "        drawn.update(left=8, by=random.randrange(32))\n"
        "    drawn['left'] -= 1\n"
        "    return np.roll(picture, drawn['by'], 1)\n",
        r"keeps state .* in drawn_for_eight\.drawn",
    ),
    "cached": (
        "def transform(picture, cache=[]):\n"
        "    cache[:] = [*cache[-2:], np.asarray(picture)]\n"
        "    return cache[random.randrange(len(cache))]\n",
        r"keeps state .* in cached\.transform\.__defaults__\[0\]",
    ),
    "of_the_clock": (
        "def transform(picture):\n"
        "    return np.roll(picture, time.perf_counter_ns() // 64 % 32, 1)\n",
        r"reads the clock or the system's entropy.*rendered again exactly alike",
    ),
    "of_the_system": (
        "def transform(picture):\n"
        "    return np.roll(picture, random.SystemRandom().randrange(32), 1)\n",
        r"reads the clock or the system's entropy.*rendered again exactly alike",
    ),
    "coming_round": (
        "calls = itertools.cycle(range(32))\n"
        "def transform(picture):\n"
        "    return np.roll(picture, next(calls), 1)\n",
        "order and batches alone change it: it keeps state that comes round again",
    ),
}  # fmt: skip
IMPORTS = "import itertools, random, time\nimport numpy as np\nimport torch\nfrom torchvision.transforms import v2\n"


@dataclass
class Album:
    """Pictures of noise, and which of them were asked for."""

    count: int = 100
    asked: list = field(default_factory=list)

    def __len__(self):
        return self.count

    def images(self, samples):
        self.asked.append(samples.tolist())
        pictures = np.random.default_rng(0).integers(0, 256, (self.count, 32, 32, 3), dtype=np.uint8)
        return pictures[samples]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function: the recipe of `transform` in a new module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, source, **knobs):
        (tmp_path / f"{name}.py").write_text(IMPORTS + source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return make_recipe({"name": "replay", "function": f"{name}:transform", **knobs})

    return make


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_replay_is_refused_with_its_likely_reason(name, own):
    source, reason = REFUSED[name]
    with pytest.raises(ConfigError, match=rf"{name}:transform does not replay: \d+ of 32 rows differ.*{reason}"):
        check_replays(own(name, source), Album(), 0)


@pytest.mark.parametrize(
    "source",
    [
        "transform = v2.Compose([v2.RandomResizedCrop(20), v2.RandAugment(), v2.ColorJitter(0.4)])\n",
        "def transform(picture):\n    return np.roll(picture, random.randrange(9) + np.random.randint(9), 1)\n",
        # a generator of its own, seeded in each call from one that is
        "def transform(picture):\n"
        "    return np.roll(picture, np.random.default_rng(random.getrandbits(32)).integers(32), 1)\n",
        # what it keeps changes no picture
        "calls = []\ndef transform(picture):\n    calls.append(time.time())\n    return picture\n",
    ],
    ids=["torchvision", "python and numpy", "seeded in each call", "a log"],
)
def test_what_replays_passes(source, own):
    check_replays(own("replaying", source), Album(), 0)


@pytest.mark.parametrize("words", ["cifar", "rrc+cutout", "cifar+mixup+cutmix"])
def test_native_recipes_pass(words):
    check_replays(make_recipe(words), Album(), 0)


def test_albumentations_is_told_how_it_replays(own):
    pytest.importorskip("albumentations")
    source = (
        "import albumentations\n"
        "augment = albumentations.Compose([albumentations.RandomCrop(20, 20)])\n"
        "def transform(picture):\n"
        "    {}return augment(image=np.asarray(picture))['image']\n"
    )
    with pytest.raises(ConfigError, match=r"call set_random_seed\(random.getrandbits\(32\)\)"):
        check_replays(own("ambient", source.format("")), Album(), 0)
    check_replays(own("keyed", source.format("augment.set_random_seed(random.getrandbits(32)); ")), Album(), 0)


def test_classes_of_albumentations_are_known_by_their_package(own):
    source = REFUSED["own_numpy"][0] + "Shift.__module__ = 'albumentations.core.composition'\n"
    with pytest.raises(ConfigError, match="albumentations draws from generators of its own: call set_random_seed"):
        check_replays(own("wrapped", source), Album(), 0)


class Ambient(Recipe):
    """A recipe that draws from a generator which nobody seeds for it."""

    name: str = "ambient"

    def view(self, album, seed, samples, view, device=None):
        noise = np.random.randint(0, 2, (len(samples), 1, 1, 1), dtype=np.uint8)
        return torch.from_numpy(album.images(samples) ^ noise)

    def evaluate(self, pictures):
        return pictures


class OncePerBatch(Ambient):
    """A recipe whose views depend on their company."""

    name: str = "once per batch"

    def view(self, album, seed, samples, view, device=None):
        return torch.from_numpy(album.images(samples) ^ np.uint8(samples[0] % 2))


def test_a_recipe_that_draws_from_the_global_generators_is_refused():
    with pytest.raises(ConfigError, match=r"'ambient' does not replay.* draws from a global generator of the process"):
        check_replays(Ambient(), Album(), 0)


def test_a_recipe_that_draws_once_per_batch_is_refused():
    with pytest.raises(ConfigError, match=r"order and batches alone change it: .* draws once per batch"):
        check_replays(OncePerBatch(), Album(), 0)


def test_test_transforms_are_tested_too(own):
    source = REFUSED["counting"][0] + "again, transform = transform, v2.CenterCrop(20)\n"
    recipe = own("of_test", source, test="of_test:again")
    check_replays(recipe, Album(), 0)
    with pytest.raises(ConfigError, match=r"of_test\.Shift\.calls"):
        check_replays(recipe, Album(), 0, plain=True)


def test_every_kind_of_view_is_tested(own):
    counting = own("one_of_many", REFUSED["counting"][0])
    groups = [{"recipe": "none", "count": 40}, {"recipe": counting, "count": 1}]
    with pytest.raises(ConfigError, match=r"one_of_many:transform does not replay: 1 of 41 rows"):
        check_replays(make_recipe({"name": "groups", "groups": groups}), Album(), 0)


def test_thirty_two_keyed_rows_are_shown_twice_in_other_batches():
    album, again, other = Album(), Album(), Album()
    for shown, seed in ((album, 0), (again, 0), (other, 1)):
        check_replays(make_recipe("none"), shown, seed)
    first, *small = album.asked
    assert len(set(first)) == 32
    assert [len(batch) for batch in small] == [5] * 6 + [2]
    assert [sample for batch in small for sample in batch] == first[::-1]
    assert again.asked == album.asked
    assert other.asked != album.asked


@pytest.mark.parametrize("count", [1, 2, 31])
def test_a_small_source_is_shown_whole(count, own):
    album = Album(count)
    check_replays(make_recipe("cifar"), album, 0)
    assert sorted(album.asked[0]) == list(range(count))
    with pytest.raises(ConfigError, match=f"of {count} rows differ"):
        check_replays(own("few", REFUSED["counting"][0]), album, 0)


def test_the_callers_generators_are_not_touched(own):
    before = torch.get_rng_state(), str(np.random.get_state())
    check_replays(own("passing", "transform = v2.RandomCrop(20)\n"), Album(), 0)
    with pytest.raises(ConfigError):
        check_replays(own("failing", REFUSED["seeded_once"][0]), Album(), 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]


def test_a_transform_that_fails_says_so_itself(own):
    with pytest.raises(ConfigError, match="failing_now:transform fails on sample"):
        check_replays(own("failing_now", "def transform(picture):\n    return 1 / 0\n"), Album(), 0)
