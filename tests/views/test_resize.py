import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from cache_kd.errors import ConfigError
from cache_kd.views import digests, make_recipe
from cache_kd.views.resize import resize

PILLOW = {
    "pillow-bilinear-width-height/1": Image.Resampling.BILINEAR,
    "pillow-bicubic-width-height/1": Image.Resampling.BICUBIC,
}
BACKENDS = [*PILLOW, "torchvision-uint8-bilinear/1"]


@pytest.fixture(scope="module")
def picture(make_pictures):
    return make_pictures(1, 200, 300)[0]


@pytest.mark.parametrize("backend", PILLOW)
def test_pillow_resizes_the_width_then_the_height(backend, picture):
    image = Image.fromarray(picture).resize((90, 200), PILLOW[backend]).resize((90, 110), PILLOW[backend])
    np.testing.assert_array_equal(resize(picture, 110, 90, backend), np.asarray(image))


def test_torchvisions_kernel_is_the_one_for_tensors_of_bytes(picture):
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    expected = functional.resize(tensor, [110, 90], antialias=True).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(resize(picture, 110, 90, "torchvision-uint8-bilinear/1"), expected)


@pytest.mark.parametrize(
    ("backend", "digest"),
    [("pillow-bilinear-width-height/1", "275e74c1"), ("pillow-bicubic-width-height/1", "d981c887")],
)
def test_pillows_pixels_are_the_golden_ones(backend, digest, picture):
    # the same on Pillow 9.5, 10.4, 11.3, 12.0 and 13.0
    assert f"{digests(resize(picture, 110, 90, backend)[None])[0]:08x}" == digest


def test_the_two_bilinear_backends_differ_by_rounding_only(picture):
    pillow, torchvision = (resize(picture, 110, 90, backend).astype(int) for backend in (BACKENDS[0], BACKENDS[2]))
    assert np.abs(pillow - torchvision).max() <= 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cut_out_part_is_resized_without_its_surroundings(backend, picture):
    part = picture[20:90, 30:60]
    np.testing.assert_array_equal(resize(part, 24, 24, backend), resize(part.copy(), 24, 24, backend))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 1), (200, 1, 3), (7, 5, 1)])
def test_pictures_of_any_shape_are_resized(backend, shape):
    resized = resize(np.full(shape, 77, np.uint8), 24, 30, backend)
    assert resized.shape == (24, 30, shape[2])
    assert (resized == 77).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_views_and_test_views_use_the_same_backend(backend, picture):
    recipe = make_recipe({"name": "rrc", "size": 32, "resize": backend})
    view = recipe.render([picture], np.array([[10, 20, 100, 80, 1]]))[0]
    np.testing.assert_array_equal(view, resize(picture[10:110, 20:100], 32, 32, backend)[:, ::-1])
    plain = resize(picture, 36, 36 * 300 // 200, backend)[2:34, 11:43]
    np.testing.assert_array_equal(recipe.evaluate([picture])[0], plain)


def test_an_unknown_backend_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"resize: .*pillow-bilinear-width-height/1.*torchvision-uint8-bilinear/1"):
        make_recipe({"name": "rrc", "resize": "pillow"})


def test_other_channels_than_grey_and_rgb_are_refused():
    with pytest.raises(ConfigError, match="4 channels"):
        resize(np.zeros((5, 5, 4), np.uint8), 3, 3, BACKENDS[2])


@pytest.mark.slow
def test_torchvision_is_imported_only_for_its_own_backend():
    code = """
import sys, numpy
from cache_kd.views import make_recipe
picture = numpy.zeros((1, 9, 9, 3), numpy.uint8)
make_recipe("rrc").evaluate(picture)
assert "torchvision" not in sys.modules
make_recipe({"name": "rrc", "resize": "torchvision-uint8-bilinear/1"}).evaluate(picture)
assert "torchvision" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
