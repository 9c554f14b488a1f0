import math

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_recipe
from cache_kd.views.mixed import PURPOSE, WORD_COUNT, blend, own_share, paste

SEED = 2026
KINDS = ["cifar+mixup", "cifar+cutmix", "cifar+mixup+cutmix"]


def _knobs(spec, count, height=32, width=32):
    return make_recipe(spec).draw(words(SEED, PURPOSE, np.arange(count), 0, WORD_COUNT), height, width)


@pytest.fixture
def counted(album, make_pictures):
    """Makes an album that keeps, in `asked`, every sample number it was asked for."""

    def make(count):
        shown = album(make_pictures(count))
        shown.asked, images = [], shown.images

        def counting(samples):
            shown.asked += samples.tolist()
            return images(samples)

        shown.images = counting
        return shown

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("within", [0, 10])
def test_a_partner_in_the_batch_and_a_fetched_one_give_the_same_pixels(kind, within, counted):
    shown = counted(61)
    recipe = make_recipe({**make_recipe(kind).to_json(), "within": within})
    together = recipe.view(shown, SEED, np.arange(61), 2)
    for sample in (0, 1, 17, 60):
        assert torch.equal(recipe.view(shown, SEED, np.array([sample]), 2)[0], together[sample])
    order = np.random.default_rng(0).permutation(61)
    shuffled = torch.cat([recipe.view(shown, SEED, part, 2) for part in np.array_split(order, 7)])
    assert torch.equal(shuffled, together[torch.from_numpy(order)])


def test_partners_in_the_batch_are_decoded_once(counted):
    shown, recipe = counted(100), make_recipe("cifar+mixup")
    pairs = recipe.pairs(SEED, 100, 0)
    recipe.view(shown, SEED, pairs.sample_at(np.arange(20, 36)), 0)
    assert sorted(shown.asked) == sorted(pairs.sample_at(np.arange(20, 36)))
    shown.asked.clear()
    recipe.view(shown, SEED, pairs.sample_at(np.arange(20, 36, 2)), 0)
    assert sorted(shown.asked) == sorted(pairs.sample_at(np.arange(20, 36)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_only_row_is_mixed_with_itself_and_stays_as_it_is(kind, album, make_pictures):
    shown, recipe = album(make_pictures(1)), make_recipe(kind)
    only = np.array([0])
    for view in range(8):
        assert torch.equal(recipe.view(shown, 0, only, view), recipe.base.view(shown, 0, only, view))


def test_a_blend_is_the_weighed_mean_of_the_same_view_of_both(album, make_pictures):
    shown, recipe = album(make_pictures(40)), make_recipe("cifar+mixup")
    samples = np.arange(40)
    mixing = recipe.mixing(SEED, samples, 3, rows=40, height=32, width=32)
    base = recipe.base.view(shown, SEED, samples, 3).numpy().astype(np.float64)
    share = mixing.own[:, None, None, None]
    mean = share * base + (1 - share) * base[mixing.partners]
    view = recipe.view(shown, SEED, samples, 3).numpy()
    np.testing.assert_array_equal(view, np.floor(mean + 0.5))
    assert (recipe.pairs(SEED, 40, 3).partner(samples) == mixing.partners).all()


def test_blending_is_right_at_every_value_and_at_both_ends():
    both = torch.cartesian_prod(torch.arange(256), torch.arange(256)).to(torch.uint8)
    own, partners = (part.reshape(1, 256, 256, 1) for part in both.T)
    for weight in (0, 1, 32768, 65535, 65536):
        expected = (own.long() * weight + partners.long() * (65536 - weight) + 32768) // 65536
        assert torch.equal(blend(own, partners, torch.tensor([weight])), expected.to(torch.uint8))


def test_a_box_holds_the_partners_pixels_and_the_rest_is_the_rows_own(make_pictures):
    own, partners = (torch.from_numpy(make_pictures(9, 8, 6)[part]) for part in (slice(0, 3), slice(3, 6)))
    boxes = torch.tensor([[2, 1, 3, 4], [0, 0, 8, 6], [5, 5, 0, 0]])
    pasted = paste(own, partners, boxes)
    expected = own.clone()
    expected[0, 2:5, 1:5] = partners[0, 2:5, 1:5]
    expected[1] = partners[1]
    assert torch.equal(pasted, expected)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (7, 40), (1, 1)])
def test_the_share_of_the_label_is_the_share_of_the_pixels(height, width, album):
    recipe = make_recipe({"name": "mixed", "base": "none", "cutmix": 1.0})
    # every picture has one value of its own, so that a pixel says whose it is
    pictures = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, height, width, 1), dtype=np.uint8)
    views = recipe.view(album(pictures), SEED, np.arange(50), 1).numpy()
    mixing = recipe.mixing(SEED, np.arange(50), 1, rows=50, height=height, width=width)
    own = (views == np.arange(50)[:, None, None, None]).mean((1, 2, 3))
    np.testing.assert_allclose(mixing.own, own, rtol=0, atol=1e-15)
    of_partner = (views == mixing.partners[:, None, None, None]).mean((1, 2, 3))
    np.testing.assert_allclose(1 - mixing.own, of_partner, rtol=0, atol=1e-15)


def test_labels_are_shared_between_a_row_and_its_partner():
    recipe = make_recipe("cifar+mixup+cutmix")
    mixing = recipe.mixing(SEED, np.arange(30), 0, rows=30, height=32, width=32)
    labels = torch.arange(30) % 4
    mixed = mixing.labels(labels, labels[torch.from_numpy(mixing.partners)], 4)
    for row in range(30):
        expected = np.zeros(4)
        expected[row % 4] += mixing.own[row]
        expected[mixing.partners[row] % 4] += 1 - mixing.own[row]
        np.testing.assert_allclose(mixed[row], expected, atol=1e-7)


def test_recipes_that_do_not_mix_say_so():
    recipe = make_recipe("cifar+cutout")
    assert recipe.pairs(0, 10, 0) is None
    assert recipe.mixing(0, np.arange(3), 0, rows=10, height=32, width=32) is None


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_of_a_blend_are_distributed_as_numpys_beta(alpha):
    n = 40_000
    own = own_share(_knobs({"name": "mixed", "base": "cifar", "mixup": alpha}, n), 32, 32)
    theirs = np.rint(np.random.default_rng(0).beta(alpha, alpha, n) * 65536) / 65536
    # the largest gap of the two distribution functions; 1.95 is the 99.9 % point of Kolmogorov and Smirnov
    places = np.union1d(own, theirs)
    ours_below, theirs_below = (np.searchsorted(np.sort(part), places, "right") / n for part in (own, theirs))
    assert np.abs(ours_below - theirs_below).max() < 1.95 * math.sqrt(2 / n) + 1 / 4096


@pytest.mark.parametrize(("height", "width"), [(32, 32), (45, 30)])
def test_boxes_are_distributed_as_torchvisions(height, width):
    n = 4000
    _, *ours = _knobs({"name": "mixed", "base": "cifar", "cutmix": 1.0}, 5 * n, height, width).T.astype(float)
    torch.manual_seed(0)
    cutmix, blank = v2.CutMix(alpha=1.0, num_classes=2), torch.empty(1, 3, height, width)
    drawn = [cutmix.make_params([blank]) for _ in range(n)]
    theirs = np.array([(y1, x1, y2 - y1, x2 - x1) for x1, y1, x2, y2 in (draw["box"] for draw in drawn)], float).T
    shares = [1 - box[2] * box[3] / (height * width) for box in (ours, theirs)]
    adjusted = np.array([draw["lam_adjusted"] for draw in drawn])
    np.testing.assert_allclose(shares[1], adjusted, atol=1e-12)
    for a, b in zip([*ours, shares[0]], [*theirs, shares[1]], strict=True):
        error = math.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) < 4 * error
        assert a.std() == pytest.approx(b.std(), rel=0.06)


def test_the_switch_decides_between_blend_and_box():
    for switch in (0.0, 0.3, 1.0):
        own = _knobs({**make_recipe("cifar+mixup+cutmix").to_json(), "switch": switch}, 20_000)[:, 0]
        # a blend of 65536 is rare at alpha 0.2 but there: 6 % of the quantiles are rounded to it
        blends = (own < 65536).mean() / (1 - np.mean(_knobs("cifar+mixup", 20_000)[:, 0] == 65536))
        assert abs(blends - (1 - switch)) < 4 * 0.5 / math.sqrt(20_000)


def test_switching_leaves_the_draws_of_each_kind_as_they_are():
    both, only_blends, only_boxes = (_knobs(f"cifar+{kind}", 500) for kind in ("mixup+cutmix", "mixup", "cutmix"))
    equal_blend, equal_box = (both == only_blends).all(1), (both == only_boxes).all(1)
    assert (equal_blend | equal_box).all()
    assert equal_blend.sum() > 200
    assert equal_box.sum() > 200


def test_knobs_are_the_golden_ones():
    assert _knobs("cifar+mixup+cutmix", 5, 32, 48).tolist() == [
        [50303, 0, 0, 0, 0],
        [65519, 0, 0, 0, 0],
        [65536, 26, 42, 6, 6],
        [65536, 0, 2, 16, 26],
        [46175, 0, 0, 0, 0],
    ]


def test_mixing_nothing_is_refused():
    with pytest.raises(ConfigError, match="mixup and cutmix are both 0"):
        make_recipe({"name": "mixed", "base": "cifar"})


@pytest.mark.parametrize(
    ("knob", "value"), [("mixup", -0.1), ("cutmix", 33.0), ("switch", 1.5), ("within", 7), ("within", -2)]
)
def test_knobs_that_make_no_sense_are_refused(knob, value):
    with pytest.raises(ConfigError, match=knob):
        make_recipe({"name": "mixed", "base": "cifar", "mixup": 0.2, knob: value})


def test_mixing_is_always_the_outermost():
    mixed = {"name": "mixed", "base": "cifar", "mixup": 0.2}
    for outer in (
        {"name": "chain", "steps": ["cutout"], "base": mixed},
        {"name": "mixed", "cutmix": 1.0, "base": mixed},
        {"name": "groups", "groups": [{"recipe": mixed, "count": 1}]},
    ):
        with pytest.raises(ConfigError, match="'mixed' stands inside another one; mixing comes last"):
            make_recipe(outer)
    recipe = make_recipe("cifar+cutout+mixup")
    assert (recipe.name, recipe.base.name) == ("mixed", "chain")


def test_what_the_base_says_of_itself_holds():
    assert make_recipe("rrc+mixup").cpu_only
    assert not make_recipe("cifar+mixup").cpu_only
    assert not make_recipe("cifar+mixup").takes_the_generators
    assert make_recipe("cifar+mixup").cycle == 1
