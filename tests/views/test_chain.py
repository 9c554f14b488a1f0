import numpy as np
import pytest

from cache_kd.errors import ConfigError
from cache_kd.views import chain, make_recipe, make_step, step_names


@pytest.mark.parametrize("block", [1, 5 * 32 * 32 * 3, 1 << 30])
def test_how_many_views_are_taken_at_once_changes_nothing(block, album, make_pictures, monkeypatch):
    recipe, shown = make_recipe("cifar+threeaugment+erasing"), album(make_pictures(23))
    expected = recipe.view(shown, 0, np.arange(23), 0).numpy()
    monkeypatch.setattr(chain, "BLOCK", block)
    np.testing.assert_array_equal(recipe.view(shown, 0, np.arange(23), 0).numpy(), expected)


@pytest.mark.parametrize(
    "inner", ["cifar+cutout", {"name": "groups", "groups": [{"recipe": "rrc+cutout", "count": 2}]}]
)
def test_a_chain_inside_a_chain_would_draw_the_same_words_and_is_refused(inner):
    with pytest.raises(
        ConfigError, match=r"same random words.*Write the inner steps, cutout, and the outer ones in one"
    ):
        make_recipe({"name": "chain", "base": inner, "steps": ["cutout"]})


@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("name", step_names())
def test_a_step_shows_views_of_any_channels_or_refuses_them_by_name(name, channels, album, make_pictures):
    recipe, shown = make_recipe(f"cifar+{name}"), album(make_pictures(64, channels=channels))
    if make_step(name).takes_any_channels:
        assert recipe.view(shown, 0, np.arange(64), 0).shape == (64, 32, 32, channels)
    else:
        with pytest.raises(ConfigError, match=f"step '{name}' takes grey or RGB views; these have {channels} channels"):
            recipe.view(shown, 0, np.arange(64), 0)
