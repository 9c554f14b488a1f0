import numpy as np
import pytest
from torchvision.transforms import functional

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_recipe


def test_every_crop_and_flip_is_the_plain_slice(make_pictures):
    recipe, pad = make_recipe({"name": "cifar", "pad": 2}), 2
    pictures = make_pictures(50, height=9, width=13)
    knobs = np.array([(top, left, turned) for top in range(5) for left in range(5) for turned in (0, 1)])
    views = recipe.render(pictures, knobs)
    for picture, (top, left, turned), view in zip(pictures, knobs, views, strict=True):
        padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)))
        crop = padded[top : top + 9, left : left + 13]
        np.testing.assert_array_equal(view, crop[:, ::-1] if turned else crop)


def test_offsets_and_flips_are_uniform_and_independent():
    recipe = make_recipe("cifar")
    n = 81 * 2 * 500
    top, left, mirrored = recipe.draw(words(3, "view", np.arange(n), 0, 3), np.full((n, 2), 32)).T
    counts = np.bincount((top * 9 + left) * 2 + mirrored, minlength=162)
    # chi-squared with 161 degrees of freedom: 221 is its 99.9 % point
    assert len(counts) == 162
    assert ((counts - 500) ** 2 / 500).sum() < 221


def test_the_crop_is_torchvisions_padded_crop(make_pictures):
    import torch

    picture = make_pictures(1)
    view = make_recipe("cifar").render(picture, np.array([[1, 7, 1]]))[0]
    tensor = functional.pad(torch.from_numpy(picture[0].transpose(2, 0, 1).copy()), [4])
    expected = functional.hflip(functional.crop(tensor, 1, 7, 32, 32))
    np.testing.assert_array_equal(view, expected.numpy().transpose(1, 2, 0))


def test_no_padding_only_flips(make_pictures):
    pictures = make_pictures(2)
    views = make_recipe({"name": "cifar", "pad": 0}).render(pictures, np.array([[0, 0, 0], [0, 0, 1]]))
    np.testing.assert_array_equal(views, [pictures[0], pictures[1][:, ::-1]])


def test_padding_may_exceed_the_picture(make_pictures):
    view = make_recipe({"name": "cifar", "pad": 5}).render(make_pictures(1, 1, 1), np.array([[0, 10, 1]]))
    assert view.shape == (1, 1, 1, 3)
    assert not view.any()


def test_a_negative_pad_is_refused():
    with pytest.raises(ConfigError, match="pad"):
        make_recipe({"name": "cifar", "pad": -1})
