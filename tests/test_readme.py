"""The README's code runs, and what it names exists."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.views import make_recipe

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_and_learns(stores, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(code.strip().splitlines()) <= 17  # the README promises about 15 lines
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(code.replace("kdcache-demo/store", str(stores["float16"])), names)
    assert torch.isfinite(names["loss"])
    assert names["loss"] < 5


def test_every_command_and_option_of_the_readme_exists():
    from cache_kd.cli.main import main

    lines = README.replace("\\\n", " ").splitlines()
    commands = [
        part
        for line in lines
        if line.startswith("    kdcache")
        for part in re.split(r";|#.*", line)
        if "kdcache" in part
    ]
    assert len(commands) >= 8
    for command in commands:
        words = command.split()
        known = main.commands[words[1]]
        options = {name for option in known.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= options, command


@pytest.mark.parametrize("words", re.findall(r"--recipe (\S+)", README))
def test_every_recipe_of_the_readme_renders(words, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("def train(picture):\n    return picture.rotate(90)\n")
    source = open_source(SourceSpec(data=str(images)))
    views = make_recipe(words).view(source, 0, np.arange(4), 0)
    assert views.shape[0] == 4
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(link):
    assert (Path(__file__).parents[1] / link).exists()
