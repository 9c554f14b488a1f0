import math

import numpy as np
import pytest
import torch
from distributions import assert_drawn_alike
from PIL import Image
from torchvision.transforms import RandomResizedCrop, v2

from cache_kd import threads
from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.views import make_recipe

RECIPE = make_recipe("rrc")


def _boxes(count, height, width, recipe=RECIPE):
    samples = np.arange(count)
    sizes = np.tile([height, width], (count, 1))
    return recipe.draw(words(11, "view", samples, 0, recipe.word_count), sizes)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 100), (7, 5)])
def test_boxes_are_distributed_as_torchvisions(height, width):
    ours = _boxes(100_000, height, width)[:, :4]
    torch.manual_seed(0)
    blank = torch.empty(3, height, width)
    theirs = np.array([RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(10_000)])
    for statistic in (_area, _log_ratio, _middle_row, _middle_column):
        a, b = statistic(ours), statistic(theirs)
        error = math.sqrt(a.var() / len(a) + b.var() / len(b)) + 1e-12
        assert abs(a.mean() - b.mean()) < 4 * error, statistic.__name__
        assert_drawn_alike(a, b)


def test_half_of_the_views_are_mirrored():
    assert abs(_boxes(40_000, 60, 80)[:, 4].mean() - 0.5) < 4 * 0.5 / math.sqrt(40_000)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 400), (400, 1), (2, 3), (224, 224)])
def test_boxes_lie_inside_pictures_of_any_shape(height, width):
    top, left, box_height, box_width, _ = _boxes(2000, height, width).T
    assert (box_height >= 1).all()
    assert (box_width >= 1).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + box_height <= height).all()
    assert (left + box_width <= width).all()


def test_a_picture_that_no_try_fits_gives_torchvisions_central_crop():
    narrow = _boxes(200, 10, 3000)
    fallback = narrow[narrow[:, 3] == 13]
    assert len(fallback)
    np.testing.assert_array_equal(fallback[0, :4], [0, (3000 - 13) // 2, 10, 13])


def test_boxes_are_the_golden_ones():
    assert _boxes(3, 375, 500).tolist() == [[108, 76, 260, 334, 1], [102, 143, 266, 264, 0], [94, 38, 243, 302, 1]]


def test_a_view_is_the_crop_resized_along_one_axis_at_a_time(make_pictures):
    picture = make_pictures(1, 50, 70)
    view = make_recipe({"name": "rrc", "size": 20}).render(picture, np.array([[5, 6, 30, 40, 1]]))[0]
    image = Image.fromarray(picture[0]).crop((6, 5, 46, 35))
    image = image.resize((20, 30), Image.Resampling.BILINEAR).resize((20, 20), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(view, np.asarray(image)[:, ::-1])


def test_pictures_of_different_sizes_go_together(album, make_pictures):
    mixed = [make_pictures(1, 40, 60)[0], make_pictures(1, 90, 30)[0], make_pictures(1, 1, 1)[0]]
    recipe = make_recipe({"name": "rrc", "size": 16})
    views = recipe.view(album(mixed), 0, np.arange(3), 0)
    for row in range(3):
        alone = recipe.view(album(mixed), 0, np.array([row]), 0)
        np.testing.assert_array_equal(views[row : row + 1], alone)
    assert recipe.evaluate(mixed).shape == (3, 16, 16, 3)


def test_the_number_of_threads_changes_nothing(album, make_pictures, monkeypatch):
    shown, recipe, views = album(make_pictures(30)), make_recipe({"name": "rrc", "size": 16}), []
    for count in (1, 5):
        monkeypatch.setattr(threads, "THREADS", count)
        views.append(recipe.view(shown, 0, np.arange(30), 0).numpy())
    np.testing.assert_array_equal(*views)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (501, 333), (256, 256)])
def test_the_plain_view_is_close_to_torchvisions(make_pictures, height, width):
    picture = make_pictures(1, height, width)
    picture = np.sort(picture, axis=1)  # smooth, so that a shift by a pixel would show and rounding does not
    plain = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])
    expected = np.asarray(plain(Image.fromarray(picture[0])))
    difference = np.abs(RECIPE.evaluate(picture)[0].astype(int) - expected)
    # Pillow 13 resizes the other axis first in one call, so single values may differ by rounding
    assert difference.max() <= 1


@pytest.mark.parametrize(
    ("knob", "value"), [("scale", (0.5, 0.1)), ("scale", (0.0, 1.0)), ("ratio", (2.0, 1.0)), ("size", 0)]
)
def test_limits_that_make_no_sense_are_refused(knob, value):
    with pytest.raises(ConfigError, match=knob):
        make_recipe({"name": "rrc", knob: value})


def test_pictures_of_other_channels_are_refused(make_pictures):
    with pytest.raises(ConfigError, match="4 channels"):
        RECIPE.evaluate(make_pictures(1, channels=4))


def _area(boxes):
    return boxes[:, 2] * boxes[:, 3] * 1.0


def _log_ratio(boxes):
    return np.log(boxes[:, 3] / boxes[:, 2])


def _middle_row(boxes):
    return boxes[:, 0] + boxes[:, 2] / 2


def _middle_column(boxes):
    return boxes[:, 1] + boxes[:, 3] / 2


@pytest.mark.parametrize("shape", [(1, 8000, 3), (8000, 1, 3)])
def test_a_test_picture_too_long_to_be_resized_whole_is_refused_by_its_place(shape, make_pictures):
    pictures = [make_pictures(1, 40, 40)[0], np.zeros(shape, np.uint8)]
    with pytest.raises(ConfigError, match=r"Test picture 1 of a batch is (1x8000|8000x1) pixels.*at most 1525 times"):
        RECIPE.evaluate(pictures)
    assert make_recipe({"name": "rrc", "size": 8}).evaluate(pictures).shape == (2, 8, 8, 3)
