"""Recipes of the literature by name: how long, with which batches, optimiser and schedule a student is trained."""

from importlib.resources import files
from typing import Any

from cache_kd.config import Config, merged, parse_toml
from cache_kd.config import build as build_config
from cache_kd.errors import ConfigError, did_you_mean


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
