from pathlib import Path

import pytest

from cache_kd.config import Config, canonical_json, load, parse_assignments
from cache_kd.errors import ConfigError


class Inner(Config):
    count: int = 3


class Outer(Config):
    name: str
    inner: Inner = Inner()
    maybe: Inner | None = None
    several: tuple[Inner, ...] = ()


def test_overrides_win_over_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('name = "a"\n[inner]\ncount = 5\n')
    assert load(Outer, file) == Outer(name="a", inner=Inner(count=5))
    assert load(Outer, file, {"inner.count": 7}).inner.count == 7


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"name": "a", "inner.cuont": 1}, "unknown key 'inner.cuont'; did you mean 'count'"),
        ({"name": "a", "maybe.cuont": 1}, "unknown key 'maybe.cuont'; did you mean 'count'"),
        ({"name": "a", "several": [{}, {"cuont": 1}]}, r"unknown key 'several\.1\.cuont'; did you mean 'count'"),
        ({"name": "a", "inner.count": "many"}, "inner.count: .*integer.*'many'"),
        ({}, "'name' is missing"),
        ({"name": "a", "name.first": 1}, "'name' is a value"),
    ],
)
def test_a_wrong_key_or_value_is_named(overrides, words):
    with pytest.raises(ConfigError, match=words):
        load(Outer, None, overrides)


def test_a_broken_file_is_named(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("name = ")
    with pytest.raises(ConfigError, match=r"run\.toml is not valid TOML"):
        load(Outer, file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Outer, Path("nowhere.toml"))


def test_an_assignment_needs_an_equals_sign():
    assert parse_assignments(["a.b=[1, 2]", "c=text"]) == {"a.b": [1, 2], "c": "text"}
    with pytest.raises(ConfigError, match="has no '='"):
        parse_assignments(["epochs"])


def test_equal_values_have_one_text():
    assert canonical_json({"b": 1, "a": [1.5, None]}) == canonical_json({"a": [1.5, None], "b": 1})
