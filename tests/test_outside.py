"""A user's module that does not import is one sentence that names file and line."""

import re
import sys

import pytest

from cache_kd.errors import ConfigError
from cache_kd.outside import is_outside, load_function


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Writes modules of the working directory, forgotten again afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)

    def write(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
        return tmp_path

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def double(x:\n    pass\n", "SyntaxError: .* never closed, {here}/ours.py, line 1"),
        ("import random\nx = undefined\n", "NameError: .*'undefined'.*, {here}/ours.py, line 2"),
        ("import not_there\n", "No module named 'not_there', {here}/ours.py, line 1"),
        ("1 / 0\n", "ZeroDivisionError: .*, {here}/ours.py, line 1"),
        # the last line of the user's own, not the library's that raised
        ("import json\n\n\njson.loads('')\n", "JSONDecodeError: .*, {here}/ours.py, line 4"),
    ],
)
def test_what_a_module_raises_is_told_with_its_place(modules, source, reason):
    here = modules(ours=source)
    with pytest.raises(ConfigError, match=f"ours:double: module 'ours' does not import .{reason.format(here=here)}"):
        load_function("ours:double", purpose="a model")


def test_the_place_is_that_of_the_neighbour_at_fault(modules):
    here = modules(ours="import neighbour\n", neighbour="\nx = undefined\n")
    with pytest.raises(ConfigError, match=re.escape(f"{here}/neighbour.py, line 2")):
        load_function("ours:double", purpose="a model")


def test_a_module_that_is_not_there_has_no_place(modules):
    modules()
    with pytest.raises(ConfigError, match=r"does not import \(No module named 'ours'\); expected a model"):
        load_function("ours:double", purpose="a model")


def test_a_function_of_the_working_directory_is_found(modules):
    modules(ours="def double(x):\n    return 2 * x\n")
    assert load_function("ours:double", purpose="a model")(4) == 8
    with pytest.raises(ConfigError, match="has no function 'halve'; expected a model"):
        load_function("ours:halve", purpose="a model")


@pytest.mark.parametrize("name", ["ours", "ours:", ":double", "ours:double twice", "C:\\data", "our-s:double"])
def test_other_names_are_not_of_this_form(name):
    assert not is_outside(name)
    with pytest.raises(ConfigError, match=r"write package\.module:function"):
        load_function(name, purpose="a model")
