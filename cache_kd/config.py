"""Any frozen config from a TOML file and dotted overrides; an unknown key is refused by name."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cache_kd.errors import ConfigError, did_you_mean


class Config(BaseModel):
    """Base of every config and manifest part: frozen, no unknown keys, NaN and inf refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


Some = TypeVar("Some", bound=Config)


def load(
    kind: type[Some],
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Some:
    """Build a config of `kind` from a TOML `file`, above it dotted `overrides`.

    Args:
        kind: of config.
        file: any part of it.
        overrides: such as {"views.count": 8}.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value does not fit.
    """
    return build(kind, gathered(file, overrides), origin=str(file) if file else "")


def gathered(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values that `load` builds a config from, nested, before they are validated.

    Raises:
        ConfigError: the file cannot be read, or a group of values is overridden by a value.
    """
    values = read_toml(file) if file else {}
    for key, value in (overrides or {}).items():
        _put(values, key.split("."), value)
    return values


def build(kind: type[Some], values: Mapping[str, Any], *, origin: str = "") -> Some:
    """Validate `values` as a `kind`; the first fault becomes one sentence.

    Raises:
        ConfigError: a key is unknown (did you mean …), or a value does not fit.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as fault:
        raise ConfigError(_sentence(kind, fault, origin)) from None


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` words from the command line; values are JSON where they parse as JSON, else text.

    >>> parse_assignments(["optimiser.lr=0.1", "student=resnet8"])
    {'optimiser.lr': 0.1, 'student': 'resnet8'}
    """
    assigned: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair!r} has no '='; write --set key=value, for example --set epochs=10.")
        assigned[key.strip()] = parse_value(text)
    return assigned


def parse_value(text: str) -> Any:
    """A JSON value where `text` is one, else the text itself.

    >>> parse_value("4"), parse_value("[1, 2]"), parse_value("cosine")
    (4, [1, 2], 'cosine')
    """
    try:
        return parse_json(text)
    except ValueError:  # no JSON, or a number of more digits than Python reads
        return text


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, group by group; where both say something, `above` is right.

    >>> merged({"epochs": 240, "optimiser": {"lr": 0.05, "momentum": 0.9}}, {"optimiser": {"lr": 0.01}})
    {'epochs': 240, 'optimiser': {'lr': 0.01, 'momentum': 0.9}}
    """
    both = {key: merged(value, {}) if isinstance(value, Mapping) else value for key, value in below.items()}
    for key, value in above.items():
        inside = both.get(key)
        both[key] = merged(inside, value) if isinstance(inside, dict) and isinstance(value, Mapping) else value
    return both


def read_toml(file: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return parse_toml(file.read_text(encoding="utf-8"), str(file))
    except OSError as fault:
        raise ConfigError(f"{file}: the config cannot be read ({fault.strerror}).") from None


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """What a TOML text holds.

    Raises:
        ConfigError: it is not TOML; the sentence names its `origin`.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{origin} is not valid TOML: {fault}.") from None


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text that anybody may have written.

    Raises:
        ValueError: it is no JSON, or is nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested deeper than Python reads") from None


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, so it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        below = values.setdefault(part, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{'.'.join(path)}: {part!r} is a value, not a group of values.")
        values = below
    values[path[-1]] = value


def _sentence(kind: type[Config], fault: ValidationError, origin: str) -> str:
    first = fault.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    prefix = f"{origin}: " if origin else ""
    if first["type"] == "extra_forbidden":
        owner = _owner(kind, first["loc"][:-1])
        known = f"; {did_you_mean(str(first['loc'][-1]), owner.model_fields)}" if owner else "."
        return f"{prefix}unknown key {where!r}{known}"
    if first["type"] == "missing":
        return f"{prefix}{where!r} is missing from {kind.__name__}; it has no default."
    found = f" (found {first['input']!r})" if not isinstance(first["input"], dict) else ""
    subject = f"{where}: " if where else ""
    return f"{prefix}{subject}{first['msg'].removeprefix('Value error, ')}{found}."


def _owner(kind: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The config class that stands at `path` below `kind`, if the path leads through nested configs."""
    for part in path:
        if isinstance(part, int):  # a place in a tuple, whose configs are all of the kind that was found
            continue
        field = kind.model_fields.get(part)
        inside = _config_in(field.annotation) if field else None
        if inside is None:
            return None
        kind = inside
    return kind


def _config_in(annotation: Any) -> type[BaseModel] | None:
    """The config class that an annotation is, or holds: `Inner`, `Inner | None`, `tuple[Inner, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_config_in, get_args(annotation))), None)
