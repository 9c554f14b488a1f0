import numpy as np
import pytest

from cache_kd.errors import ConfigError
from cache_kd.views import make_recipe

LARGE, SMALL = {"name": "rrc", "size": 24}, {"name": "rrc", "size": 10, "scale": (0.05, 0.14)}


def make_groups(*counted):
    return make_recipe({"name": "groups", "groups": [{"recipe": recipe, "count": count} for recipe, count in counted]})


def test_views_take_turns_and_start_again(album, make_pictures):
    recipe, shown = make_groups((LARGE, 2), (SMALL, 6)), album(make_pictures(3))
    sides = [recipe.view(shown, 0, np.arange(3), view).shape[1] for view in range(18)]
    assert sides == ([24] * 2 + [10] * 6) * 2 + [24] * 2
    assert recipe.cycle == 8


def test_a_view_is_the_groups_own_view_of_that_number(album, make_pictures):
    recipe, shown = make_groups(("cifar", 1), (SMALL, 2)), album(make_pictures(5))
    for view, inner in enumerate(["cifar", SMALL, SMALL, "cifar", SMALL]):
        alone = make_recipe(inner).view(shown, 4, np.arange(5), view)
        np.testing.assert_array_equal(recipe.view(shown, 4, np.arange(5), view), alone)


def test_test_images_are_the_first_groups(make_pictures):
    recipe, pictures = make_groups((LARGE, 1), ("none", 1)), make_pictures()
    np.testing.assert_array_equal(recipe.evaluate(pictures), make_recipe(LARGE).evaluate(pictures))


def test_what_one_group_needs_all_need():
    assert not make_groups(("cifar", 1), ("none", 1)).cpu_only
    assert make_groups(("cifar", 1), ("rrc", 1)).cpu_only
    assert not make_groups(("cifar", 1), ("rrc", 1)).takes_the_generators
    own = make_groups(("cifar", 1), ("own_transforms:unchanged", 1), ("own_transforms:unchanged+cutout", 1))
    assert own.takes_the_generators
    assert own.functions == ("own_transforms:unchanged",)
    assert own.changed() is None


def test_groups_within_a_group_come_round_too():
    inner = make_groups(("cifar", 1), ("none", 1))
    recipe = make_groups((inner, 1), (LARGE, 2))
    kinds = [recipe.of_view(view).of_view(view).name for view in range(0, 12, 3)]
    assert kinds == ["cifar", "none", "cifar", "none"]
    assert recipe.cycle == 6


def test_mixing_goes_around_the_groups(album, make_pictures):
    mixed = make_recipe({"name": "mixed", "base": make_groups((LARGE, 1), (SMALL, 1)), "mixup": 0.2})
    assert mixed.cycle == 2
    assert [mixed.view(album(make_pictures(4)), 0, np.arange(4), view).shape[1] for view in range(2)] == [24, 10]


def test_a_step_follows_every_group(album, make_pictures):
    chain = make_recipe({"name": "chain", "base": make_groups((LARGE, 1), (SMALL, 1)), "steps": ["cutout"]})
    assert chain.cycle == 2
    assert [chain.view(album(make_pictures(2)), 0, np.arange(2), view).shape[1] for view in range(2)] == [24, 10]


@pytest.mark.parametrize(
    ("groups", "fault"),
    [
        ([], "groups"),
        ([{"recipe": "cifar", "count": 0}], r"groups\.0\.count"),
        ([{"recipe": "cifar"}], r"groups\.0\.count"),
        ([{"recipe": "cifra", "count": 1}], "did you mean 'cifar'"),
        ([{"recipe": "cifar+mixup", "count": 1}], "mixing comes last"),
    ],
)
def test_groups_that_make_no_sense_are_refused(groups, fault):
    with pytest.raises(ConfigError, match=fault):
        make_recipe({"name": "groups", "groups": groups})
