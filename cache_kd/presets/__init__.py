"""Recipes of the literature by name: how long, with which batches, optimiser and schedule a student is trained."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from cache_kd.config import Config, merged, parse_toml
from cache_kd.config import build as build_config
from cache_kd.errors import ConfigError, did_you_mean

NAMED = ("optimiser", "schedule")  # groups whose other values mean what their `name` makes of them


class Otherwise(Config):
    """Students that the literature trains otherwise."""

    names: tuple[str, ...]
    config: dict[str, Any]


class Preset(Config):
    """One recipe, as its TOML file says it.

    Attributes:
        about: in one line.
        source: whose it is.
        config: any part of a `TrainConfig`.
        students: who is trained otherwise, and how.
    """

    about: str
    source: str
    config: dict[str, Any]
    students: tuple[Otherwise, ...] = ()

    def values(self, student: str | None) -> dict[str, Any]:
        """The part of a configuration that this preset gives to `student`."""
        values = self.config
        for other in self.students:
            if student is not None and student.lower() in map(str.lower, other.names):
                values = merged(values, other.config)
        return values

    def beneath(self, given: Mapping[str, Any], student: str | None) -> dict[str, Any]:
        """`given` above what this preset gives to `student`.

        An optimiser or a schedule of another name is another one: nothing of the preset's stays under it.
        """
        values = self.values(student)
        replaced = {group for group in NAMED if _name_in(given, group) not in (None, values[group]["name"])}
        return merged({key: value for key, value in values.items() if key not in replaced}, given)


def _name_in(given: Mapping[str, Any], group: str) -> Any:
    inside = given.get(group)
    return inside.get("name") if isinstance(inside, Mapping) else None


def names() -> list[str]:
    """Of all presets."""
    return sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))


def text_of(name: str) -> str:
    """The TOML file of a preset.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in names():
        raise ConfigError(f"There is no preset {name!r}; {did_you_mean(name, names())}")
    return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def preset_named(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ConfigError: there is none.
    """
    return build_config(Preset, parse_toml(text_of(name), name), origin=name)
