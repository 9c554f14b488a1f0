"""Recorded boxes are shown as Pillow crops them, whatever the sizes of the pictures."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cache_kd.errors import ConfigError
from cache_kd.views import make_recipe
from cache_kd.views.recorded import pixel_boxes, table_digest

TABLE = {"name": "recorded", "table": "ab" * 32}


class Boxes:
    """The same boxes in every view."""

    def __init__(self, *rows):
        self.table = np.array(rows, dtype=np.float32)

    def rows(self, view, samples):
        """Those of some samples."""
        del view
        return self.table[samples]


def test_boxes_of_whole_pixels_come_back_as_they_were_recorded():
    generator = np.random.default_rng(1)
    sizes = generator.integers(1, 5000, (2000, 2))
    sides = 1 + (generator.random((2000, 2)) * sizes).astype(np.int64)
    corner = (generator.random((2000, 2)) * (sizes - sides + 1)).astype(np.int64)
    shares = np.column_stack([corner / sizes, sides / sizes, np.zeros(2000)]).astype(np.float32)
    assert np.array_equal(pixel_boxes(shares, sizes)[:, :4], np.column_stack([corner, sides]))


@given(
    box=st.tuples(*[st.floats(0, 0.5, width=32)] * 2, *[st.floats(0.25, 0.5, width=32)] * 2),
    height=st.integers(4, 300),
    width=st.integers(4, 300),
)
def test_edges_are_rounded_as_pillow_rounds_them(box, height, width):
    row, column = np.mgrid[:height, :width]
    picture = np.stack([row & 255, column & 255, row // 256 + 2 * (column // 256)], axis=2).astype(np.uint8)
    left, top = box[1] * width, box[0] * height
    expected = np.asarray(Image.fromarray(picture).crop((left, top, left + box[3] * width, top + box[2] * height)))
    top, left, height, width, _ = pixel_boxes(np.array([[*box, 0]], dtype=np.float32), np.array([[height, width]]))[
        0
    ].tolist()
    assert np.array_equal(picture[top : top + height, left : left + width], expected)


def test_a_box_that_rounding_took_beyond_the_picture_ends_with_it_and_none_is_empty():
    shares = np.array([[0.5, 0.5, 0.5005, 0.5005, 1], [0.999, 0.999, 0.001, 0.001, 0]], dtype=np.float32)
    boxes = pixel_boxes(shares, np.array([[4000, 3000], [8, 8]]))
    assert boxes.tolist() == [[2000, 1500, 2000, 1500, 1], [7, 7, 1, 1, 0]]


def test_a_view_is_the_box_resized_and_mirrored_as_by_rrc(album, make_pictures):
    picture = make_pictures(1, 50, 70)
    recipe = make_recipe({**TABLE, "size": 20}).equipped(Boxes([5 / 50, 6 / 70, 30 / 50, 40 / 70, 1]))
    expected = make_recipe({"name": "rrc", "size": 20}).render(picture, np.array([[5, 6, 30, 40, 1]]))
    assert np.array_equal(recipe.view(album(picture), 0, np.array([0]), 0).numpy(), expected)


def test_pictures_of_different_sizes_go_together(album, make_pictures):
    mixed = [make_pictures(1, 40, 60)[0], make_pictures(1, 90, 30)[0]]
    recipe = make_recipe({**TABLE, "size": 16}).equipped(Boxes([0, 0, 0.5, 0.5, 0], [0.5, 0.25, 0.5, 0.5, 1]))
    views = recipe.view(album(mixed), 0, np.arange(2), 0)
    for row in range(2):
        assert torch.equal(views[row : row + 1], recipe.view(album(mixed), 0, np.array([row]), 0))


@pytest.mark.parametrize("spec", [TABLE, {"name": "chain", "base": TABLE, "steps": ["cutout"]}])
def test_without_its_boxes_it_says_where_they_are(spec, album, make_pictures):
    with pytest.raises(ConfigError, match="a store of imported logits holds, on the CPU, and there are none here"):
        make_recipe(spec).view(album(make_pictures()), 0, np.arange(3), 0)


def test_a_gpu_is_refused(album, make_pictures):
    recipe = make_recipe(TABLE).equipped(Boxes([0, 0, 1, 1, 0]))
    with pytest.raises(ConfigError, match="on the CPU, not on meta"):
        recipe.view(album(make_pictures()), 0, np.array([0]), 0, torch.device("meta"))


def test_a_table_is_known_by_the_sha256_of_its_numbers():
    table = np.arange(30, dtype=np.float32).reshape(2, 3, 5)
    assert table_digest(table) == hashlib.sha256(table.astype("<f4").tobytes()).hexdigest()
    assert table_digest(table) != table_digest(table[:, ::-1])
    with pytest.raises(ConfigError, match="table"):
        make_recipe({"name": "recorded", "table": "none"})
