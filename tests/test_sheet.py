"""The contact sheet: its tiles hold the recipe's own pixels, its words say whose they are."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cache_kd.errors import ConfigError, RunError, SourceError
from cache_kd.sheet import SheetConfig, contact_sheet
from cache_kd.sheet_picture import LABELS, LINE, Column, Picture, _font, _short
from cache_kd.sources import SourceSpec, open_source
from cache_kd.views import make_recipe

SEED = 3
TURNED = []


def turned_by_a_counter(picture):
    TURNED.append(picture.size)
    return picture.rotate(90 * (len(TURNED) % 4))


@pytest.fixture
def source(images):
    return open_source(SourceSpec(data=str(images)))


@pytest.fixture
def tree(tmp_path):
    """Twelve colour pictures of different sizes, two classes, in a folder."""
    random = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / "tree" / "train" / ("left" if number % 2 else "right")
        folder.mkdir(parents=True, exist_ok=True)
        size = (40 + number, 60 - number, 3)
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "tree"


def draw(recipe, data, out, **knobs):
    return contact_sheet(SheetConfig(recipe=recipe, data=str(data), out=out, **knobs))


def tile(path, sheet, row, column):
    """A tile read back from the file, at the view's own size; every enlarged pixel is checked to be of one colour."""
    left, top, width, height = sheet.box(row, column)
    with Image.open(path) as whole:
        enlarged = np.asarray(whole)[top : top + height, left : left + width]
    small = enlarged[:: sheet.scale, :: sheet.scale]
    np.testing.assert_array_equal(small.repeat(sheet.scale, 0).repeat(sheet.scale, 1), enlarged)
    return small


def numbers(sheet):
    return np.array([int(label[1].removeprefix("sample ")) for label in sheet.labels])


@pytest.mark.parametrize("words", ["cifar+cutout", "none"])
def test_every_tile_holds_the_pixels_of_its_view(words, images, source, tmp_path):
    out = tmp_path / "new" / "sheet.png"
    sheet = draw(words, images, out, views=3, samples=4, seed=SEED)
    recipe, samples = make_recipe(words), numbers(sheet)
    assert len(set(samples)) == 4
    expected = [recipe.evaluate(source.images(samples))]
    expected += [recipe.view(source, SEED, samples, view).numpy() for view in range(3)]
    assert sheet.scale == 4
    for row in range(4):
        for column in range(4):
            grey = tile(out, sheet, row, column)
            np.testing.assert_array_equal(grey, np.broadcast_to(expected[column][row], (28, 28, 3)))


def test_pictures_of_many_sizes_in_colour_are_framed_and_shown(tree, tmp_path):
    out, spec = tmp_path / "sheet.png", {"name": "rrc", "size": 120}
    sheet = draw(spec, tree, out, views=2, samples=3)
    assert sheet.scale == 1
    views = make_recipe(spec).view(open_source(SourceSpec(data=str(tree))), 0, numbers(sheet), 1)
    np.testing.assert_array_equal(tile(out, sheet, 2, 2), views[2].numpy())


def test_more_samples_than_there_are_show_all_of_them(tree, tmp_path):
    sheet = draw("rrc", tree, tmp_path / "s.png", views=1, samples=50)
    assert sorted(numbers(sheet)) == list(range(12))


def test_rows_are_named_by_class_and_columns_by_view(images, source, tmp_path):
    sheet = draw("cifar", images, tmp_path / "sheet.png", views=2, samples=2)
    classes = [source.class_names[label] for label in source.labels()[numbers(sheet)]]
    assert [label[0] for label in sheet.labels] == classes
    assert [column.head for column in sheet.columns] == ["plain, 28x28", "view 0, 28x28", "view 1, 28x28"]
    assert sheet.title == "cifar"
    assert "512 training images, seed 0" in sheet.note


def test_the_file_says_which_recipe_it_shows(images, tmp_path):
    out = tmp_path / "sheet.png"
    draw("cifar+cutout", images, out, views=1, samples=1, seed=SEED)
    with Image.open(out) as whole:
        said = whole.text
    assert make_recipe(json.loads(said["recipe"])) == make_recipe("cifar+cutout")
    assert said["seed"] == str(SEED)
    assert said["data"] == str(images)


def test_the_same_call_writes_the_same_file(images, tmp_path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        draw("cifar", images, file, views=2, samples=2)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("sides", [(8, 40), (40, 8)])
def test_tiles_and_words_have_places_of_their_own(sides):
    columns = [
        Column(head="h", tiles=(np.full((s, s, 3), 255, np.uint8),) * 2, captions=(("a", "b"),) * 2) for s in sides
    ]
    picture = Picture(title="t", note="n", labels=(("one", "1"), ("two", "2")), columns=tuple(columns))
    boxes = [picture.box(row, column) for row in range(2) for column in range(2)]
    width, height = picture.size
    covered = np.zeros((height - 2 * LINE, width), int)  # the last captions stand below
    for left, top, wide, high in boxes:
        assert left >= LABELS
        covered[top : top + high, left : left + wide] += 1
    assert covered.max() == 1
    assert covered.sum() == sum(wide * high for *_, wide, high in boxes)
    assert picture.scale == 3


def test_long_words_are_cut_where_the_room_ends():
    font = _font("DejaVuSans", 12)
    cut = _short("great white shark, white shark, man-eater, man-eating shark", font, 100)
    assert cut.startswith("great white")
    assert cut.endswith("…")
    assert ImageDraw.Draw(Image.new("L", (1, 1))).textlength(cut, font) <= 100
    assert _short("Ångström", font, 100) == "Ångström"


def test_a_sheet_too_large_to_look_at_is_refused_before_it_is_drawn():
    tile = np.zeros((2000, 2000, 1), np.uint8)
    column = Column(head="h", tiles=(tile,) * 5, captions=((),) * 5)
    picture = Picture(title="t", note="n", labels=(("a",),) * 5, columns=(column,) * 5)
    with pytest.raises(ConfigError, match="fewer --samples or --views"):
        picture.png({})
    small = replace(picture, labels=(("a",),), columns=(replace(column, tiles=(tile,), captions=((),)),))
    assert small.png({}).startswith(b"\x89PNG")


def test_only_a_png_keeps_the_pixels(images, tmp_path):
    with pytest.raises(ConfigError, match=r"Pass --out .*sheet\.png"):
        draw("cifar", images, tmp_path / "sheet.jpg")


def test_what_cannot_be_shown_is_said(images, tree, tmp_path):
    out = tmp_path / "sheet.png"
    with pytest.raises(SourceError, match=r"nowhere\.h5"):
        draw("cifar", "nowhere.h5", out)
    with pytest.raises(ConfigError, match="needs one size"):
        draw("cifar", tree, out)
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match="taken"):
        draw("cifar", images, tmp_path / "taken" / "sheet.png", views=1, samples=1)
    assert not out.exists()


def test_mixed_views_say_whose_they_are_and_how_much(images, source, tmp_path):
    sheet = draw("cifar+mixup+cutmix", images, tmp_path / "sheet.png", views=2, samples=5, seed=SEED)
    recipe, samples, names = make_recipe("cifar+mixup+cutmix"), numbers(sheet), source.class_names
    mixing = recipe.mixing(SEED, samples, 1, rows=len(source), height=28, width=28)
    for row, (own, partner) in enumerate(sheet.columns[2].captions):
        assert own == f"{mixing.own[row]:.0%} {sheet.labels[row][0]}"
        assert partner == f"{1 - mixing.own[row]:.0%} {names[source.labels()[mixing.partners[row]]]}"
    np.testing.assert_array_equal(
        tile(tmp_path / "sheet.png", sheet, 4, 2)[:, :, :1], recipe.view(source, SEED, samples, 1)[4].numpy()
    )


def test_views_of_several_sizes_stand_side_by_side(tree, tmp_path):
    large, small = ({"recipe": {"name": "rrc", "size": size}, "count": 1} for size in (60, 24))
    spec = {"name": "groups", "groups": [large, small]}
    sheet = draw(spec, tree, tmp_path / "sheet.png", views=3, samples=2)
    assert [column.head for column in sheet.columns] == [
        "plain, 60x60",
        "view 0, 60x60",
        "view 1, 24x24",
        "view 2, 60x60",
    ]
    views = make_recipe(spec).view(open_source(SourceSpec(data=str(tree))), 0, numbers(sheet), 1)
    np.testing.assert_array_equal(tile(tmp_path / "sheet.png", sheet, 1, 2), views[1].numpy())


def test_a_sheet_shows_no_views_that_a_dump_would_refuse(images, tmp_path):
    out = tmp_path / "sheet.png"
    with pytest.raises(ConfigError, match=r"does not replay.*it keeps state from call to call, in .*TURNED"):
        draw(f"{__name__}:turned_by_a_counter", images, out)
    assert not out.exists()
