"""docs/views.md: its tables name what there is, its commands run, its own transform replays."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from cache_kd.cli.main import main
from cache_kd.distill.needs import needs_of
from cache_kd.methods import make_method, names
from cache_kd.recipe_description import describe_all
from cache_kd.rendering import MOST_WORKERS, WORTH_WORKERS
from cache_kd.store.witness import IN_FIRST_VIEW, IN_OTHER_VIEWS, WITNESSED_VIEWS
from cache_kd.view_schedule import ViewSchedule, views_of
from cache_kd.views import make_recipe
from cache_kd.views.resize import Backend
from cache_kd.witness import LIMIT

PAGE = (Path(__file__).parents[1] / "docs" / "views.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip() for line in PAGE.replace("\\\n", " ").splitlines() if line.startswith("    kdcache")
]


def code(language, containing=""):
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if containing in block)


def rows(head):
    """The cells of the table whose first column is called `head`."""
    table = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)[1]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(code("python"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("role", ["recipe", "step"])
def test_the_tables_name_every_recipe_and_step(role):
    described = {each.name: each for each in describe_all() if each.role == role}
    listed = {cells[0].strip("`"): cells[1:] for cells in rows(role)}
    assert sorted(listed) == sorted(described)
    if role == "step":
        assert {name: cells[-1] for name, cells in listed.items()} == {
            name: each.reference for name, each in described.items()
        }


@pytest.mark.parametrize("name", ["none", "cifar", "rrc"])
def test_the_table_says_where_a_recipe_runs(name):
    where = next(cells[2] for cells in rows("recipe") if cells[0] == f"`{name}`")
    assert where == ("CPU" if make_recipe(name).cpu_only else "any device")


def test_the_words_of_the_table_make_the_recipes_that_they_stand_beside():
    for name, _, _, words in rows("recipe"):
        for word in re.findall(r"`([^`]+)`", words):
            if "my.module" not in word:
                assert f"`{make_recipe(word).name}`" == name


def run(command, **names):
    words = [str(names.get(word, word)) for word in shlex.split(command)[1:]]
    if words[0] == "train":
        words += ["--epochs", "1", "--device", "cpu", "--lr", "0.02"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("kdcache recipes")])
def test_every_view_of_the_page_is_shown(command, mine, images, tmp_path):
    run(command, D=images)
    assert (tmp_path / "sheet.png").exists() == ("--out" in command)


@pytest.mark.parametrize("command", [line for line in COMMANDS if not line.startswith("kdcache recipes")])
def test_every_dump_and_training_of_the_page_runs(command, mine, images, teacher_weights, stores, tmp_path):
    small = {"D": images, "W": teacher_weights, "resnet20": "resnet8x0.5", "resnet8": "resnet8x0.5"}
    dumped = tmp_path / "store"
    if "--trust" in command:
        (of_own,) = [line for line in COMMANDS if line.startswith("kdcache dump") and "mine:train" in line]
        run(of_own, S=dumped, **small)
    run(command, S=dumped if "kdcache dump" in command or "--trust" in command else stores["float16"], **small)


def test_a_transform_of_ones_own_takes_ten_lines():
    assert len([line for line in code("python").splitlines() if line]) <= 10


def test_groups_take_turns_as_the_page_says():
    groups = make_recipe(json.loads(code("json")))
    assert [groups.of_view(view).size for view in range(10)] == [224, 224, 96, 96, 96, 96, 96, 96, 224, 224]


def test_the_numbers_of_the_proof_are_those_of_the_code():
    assert f"the pixels of {IN_FIRST_VIEW} samples in view 0" in PAGE
    assert (IN_OTHER_VIEWS, WITNESSED_VIEWS) == (2, 16)
    assert "two in each of views 1 to 15" in PAGE
    assert f"| **the limit** | **{LIMIT}** |" in PAGE


def test_the_view_schedules_of_the_page_are_all_there_are():
    shown = [cells[0].strip("`") for cells in rows("view schedule")]
    assert tuple(shown) == get_args(ViewSchedule)
    epochs = {name: [views_of(name, epoch, 1, 3, epochs=6)[0] for epoch in range(6)] for name in shown}
    assert epochs["cycle"] == [0, 1, 2, 0, 1, 2]
    assert epochs["first"] == [0] * 6
    assert epochs["stretches"] == [0, 0, 1, 1, 2, 2]


def test_the_numbers_of_the_workers_are_those_of_the_code():
    assert f"at most {MOST_WORKERS} for image files and for `replay`, from {WORTH_WORKERS:,} images on" in PAGE


@pytest.mark.slow
def test_a_loop_of_ones_own_may_have_workers(stores, tmp_path):
    script = code("python", "open_store").replace('"S"', repr(str(stores["float16"])))
    (tmp_path / "loop.py").write_text(script.replace("first_step=40", "first_step=1").replace("workers=2", "workers=1"))
    shown = subprocess.run([sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["torch.Size([128, 1, 28, 28]) torch.Size([128, 10])"]


def test_the_methods_that_refuse_mixed_views_are_those_that_read_the_label():
    listed = re.search(r"refuse such a store by name before the run begins: (.*?)\. ", PAGE, re.DOTALL)[1]
    assert re.findall(r"`(\w+)`", listed) == [name for name in names() if needs_of(make_method(name)).label]


def test_the_page_names_every_way_to_resize():
    assert sorted(re.findall(r"^\| resize: `([^`]+)`", PAGE, re.MULTILINE)) == sorted(get_args(Backend))
