"""`kdcache recipes`: the list, the parts in full, the sheet, and what is said where words are wrong."""

import json
import re

import pytest
from click.testing import CliRunner
from PIL import Image

from cache_kd.cli.main import main
from cache_kd.views import make_recipe, recipe_names, step_names


def recipes(*arguments):
    """(exit code, stdout, stderr)."""
    result = CliRunner().invoke(main, ["recipes", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_list_holds_every_recipe_and_step():
    code, out, _ = recipes()
    assert code == 0
    assert all(name in out for name in recipe_names() + step_names())


def test_the_words_that_the_list_proposes_are_recipes():
    found = re.findall(r"--recipe (?:'([^']+)'|(\S+))", recipes()[1])
    proposed = [json_text or words for json_text, words in found if "my.module" not in words]
    assert len(proposed) >= 5
    for words in proposed:
        make_recipe(json.loads(words) if words.startswith("{") else words)


def test_the_list_is_there_for_scripts():
    listed = {entry["name"]: entry for entry in json.loads(recipes("--json")[1])}
    assert sorted(listed) == sorted(recipe_names() + step_names())
    assert listed["cutout"]["role"] == "step"
    assert listed["rrc"]["knobs"][0] == {
        "name": "size",
        "takes": "integer 1 to 16000",
        "required": False,
        "default": 224,
    }


def test_words_show_their_parts_and_the_json_of_the_whole():
    code, out, _ = recipes("rrc+cutout")
    assert code == 0
    assert "Improved Regularization" in out
    assert "integer 1 to 16000" in out
    shown = out.partition("As JSON: ")[2]
    assert make_recipe(json.loads(shown)) == make_recipe("rrc+cutout")
    assert recipes(shown.strip())[1] == out
    assert json.loads(recipes("rrc+cutout", "--json")[1])["manifest"] == json.loads(shown)


def test_a_sheet_is_written_and_measured(images, tmp_path):
    out = tmp_path / "sheet.png"
    sheet = ("cifar+cutout", "--data", images, "--out", out, "--views", 2, "--samples", 3)
    code, said, _ = recipes(*sheet)
    assert code == 0
    with Image.open(out) as written:
        width, height = written.size
    assert said == f"{out}: 3 samples, the plain view and 2 views, {width} x {height} pixels.\n"
    assert json.loads(recipes(*sheet, "--json")[1])["width"] == width


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("cutuot",), 1, "did you mean 'cutout'"),
        (("rrc+cutuot",), 1, "did you mean 'cutout'"),
        (('{"name": "rrc", "sise": 3}',), 1, "did you mean 'size'"),
        (("cutout", "--data", "x.h5", "--out", "x.png"), 1, r"begin with one: cifar\+cutout"),
        (("cifar", "--data", "nowhere.h5", "--out", "x.png"), 1, "nowhere.h5"),
        (("cifar", "--data", "x.h5"), 2, "A sheet takes WORDS"),
        (("cifar", "--out", "x.png"), 2, "A sheet takes WORDS"),
        (("--data", "x.h5", "--out", "x.png"), 2, "A sheet takes WORDS"),
        (("cifar", "--views", "0"), 2, "--views"),
        (("cifar", "--exif"), 2, "A sheet takes WORDS"),
    ],
)
def test_wrong_words_are_answered_with_the_mend(arguments, code, words):
    found, out, err = recipes(*arguments)
    assert found == code
    assert re.search(words, err)
    assert "Traceback" not in out + err
