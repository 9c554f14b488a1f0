"""docs/methods.md: its code runs, its commands train, its promises of length hold."""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from cache_kd.composition import Composition
from cache_kd.description import describe
from cache_kd.methods import names

PAGE = (Path(__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip() for line in PAGE.replace("\\\n", " ").splitlines() if line.startswith("    kdcache")
]


def code(containing: str, language: str = "python") -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if containing in block)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(code("by_entropy"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mine", None)


def test_a_method_of_ones_own_takes_twenty_lines():
    assert len(code("by_entropy").strip().splitlines()) <= 20


def test_the_python_example_composes():
    found: dict[str, object] = {}
    exec(code("compose"), found)
    assert found["method"].name == "dkd+normkd"


def test_the_configuration_is_one():
    composition = Composition.model_validate(tomllib.loads(code("points", "toml")))
    assert composition.at(1).soft_weight == 0.05
    assert composition.at(30).terms[0].temperature.tau == 2.0


@pytest.mark.parametrize(
    "command", [line for line in COMMANDS if line.startswith("kdcache train") and "stores/b" not in line]
)
def test_every_training_of_the_page_trains(command, mine, stores, tmp_path):
    from cache_kd.cli.main import main

    words = shlex.split(command)[1:]
    words = [str(stores["float16"]) if word == "S" else word.replace("resnet8", "resnet8x0.5") for word in words]
    words += ["--epochs", "1", "--device", "cpu", "--lr", "0.02", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.output


def test_a_method_of_ones_own_is_described_like_any_other(mine):
    description = describe("mine:by_entropy")
    assert description.lends == ("temperature",)
    assert description.needs == "all logits"
    assert description.usage == "tau=4"


def test_every_method_of_the_page_exists():
    named = {word for word in re.findall(r"`([a-z_]+)`", PAGE) if word in names()}
    assert named >= {"la", "rld", "normkd", "lskd", "mse", "mlld", "dhkd", "ctkd", "uskd", "dkd"}
