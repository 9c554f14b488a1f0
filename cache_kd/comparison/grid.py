"""A comparison as configuration, and the runs that it stands for: pure, nothing is read or trained."""

import copy
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from cache_kd.bucket.url import LocalPath
from cache_kd.composition import KNOBS, Composition
from cache_kd.config import Config, build, canonical_json
from cache_kd.errors import ConfigError, did_you_mean
from cache_kd.presets import preset_named
from cache_kd.train_config import TrainConfig

PLAIN = "ce"  # cross-entropy with the labels alone
WEIGHTS = ("hard_weight", "soft_weight")  # of a method, but no knobs of its function

Whence = Literal["none", "cached", "live"]  # the teacher's logits

# what the grid itself says of every run
OF_THE_GRID = {
    "out": "--out",
    "store": "--store",
    "student": "--student",
    "method": "--methods",
    "refine": "--methods",
    "temperature": "--methods",
    "seed": "--seeds",
}
# another value of these gives the same numbers
WITHOUT_EFFECT = ("out", "workers", "render", "checkpoint_steps", "checkpoint_minutes", "log_steps", "tensorboard")

# the same from wherever they are named
PLACES = ("data.data", "data.root", "live_teacher.checkpoint")


class CompareConfig(Config):
    """Which runs are compared: every method with every student, store, varied value and seed."""

    out: Path
    store: Annotated[tuple[LocalPath, ...], Field(min_length=1)]
    student: Annotated[tuple[str, ...], Field(min_length=1)]
    methods: Annotated[tuple[str, ...], Field(min_length=1)]  # kd, dkd+normkd; ce for cross-entropy alone
    vary: dict[str, tuple[Any, ...]] = Field(default_factory=dict)  # kd.tau, or a key of `run`, to its values
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    live: tuple[str, ...] = ()  # methods that are trained with the teacher in the loop, too
    preset: str | None = None  # of kdcache presets: below what `run` says
    run: dict[str, Any] = Field(default_factory=dict)  # what all runs have: the keys of kdcache train
    jobs: Annotated[int, Field(ge=1)] | None = None  # at the same time; None: one for each GPU, else one

    @field_validator("vary", mode="before")
    @classmethod
    def _one_level(cls, value: Any) -> Any:
        return dict(flat(value)) if isinstance(value, Mapping) else value


@dataclass(frozen=True, kw_only=True, order=True)
class Group:
    """What runs that differ in their seed only have in common: a row of the table."""

    store: str
    student: str
    method: str
    settings: tuple[str, ...] = ()  # tau=4, views=2
    teacher: Whence = "cached"

    @property
    def label(self) -> str:
        """The method with its settings: `kd tau=4 (live teacher)`."""
        return " ".join([self.method, *self.settings]) + (" (live teacher)" if self.teacher == "live" else "")

    @property
    def cached(self) -> "Group":
        """The same with the store in place of the live teacher."""
        return replace(self, teacher="cached")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of the grid; its name is that of its folder."""

    name: str
    group: Group
    config: TrainConfig


def cells_of(config: CompareConfig) -> tuple[Cell, ...]:
    """The runs of a grid, all of one seed before the next: a table of one seed is whole as early as can be.

    A name says all that the grid decides of a run and nothing of its neighbours, so that a grown grid finds the runs
    of the smaller one.

    Raises:
        ConfigError: a method, knob or key is unknown, a value does not fit, or two runs would have one name.
    """
    _check(config)
    runs = [
        run
        for store, student, method in itertools.product(config.store, config.student, config.methods)
        for run in _runs(config, store, student, method)
    ]
    cells = tuple(_cell(config.out, group, run, seed) for seed in config.seeds for group, run in runs)
    doubled = [name for name, count in Counter(cell.name for cell in cells).items() if count > 1]
    if doubled:
        raise ConfigError(
            f"{doubled[0]} would be the name of two runs: something is asked for twice, or two stores have folders of "
            "one name. Leave one out, or give one of the stores another name."
        )
    return cells


def differences(asked: TrainConfig, found: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """Keys whose values decide numbers and are not the same, with both values: (found, asked).

    Args:
        asked: of a cell.
        found: in its folder; the window, which a run decides for itself when it starts, is no difference.
    """
    before, after = _decisive(found), _decisive(asked)
    if asked.order.window is None:
        before["order.window"] = after["order.window"]
    keys = sorted(before.keys() | after.keys())
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values by their dotted names; an empty group is a value.

    >>> dict(flat({"epochs": 3, "optimiser": {"lr": 0.1}, "knobs": {}}))
    {'epochs': 3, 'optimiser.lr': 0.1, 'knobs': {}}
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check(config: CompareConfig) -> None:
    for key in config.run:
        if key in OF_THE_GRID:
            raise ConfigError(f"{key!r} is the grid's to set, for every run another; use {OF_THE_GRID[key]}.")
    stray = [method for method in config.live if method not in config.methods]
    if stray:
        known = did_you_mean(stray[0], config.methods)
        raise ConfigError(f"--live names {stray[0]!r}, which is not among the methods; {known}")
    for key, value in flat(config.run):
        if PLAIN in config.methods and value not in (None, {}):
            _check_owner(key, (value,), config.methods)
    parts = {part for method in config.methods for part in method.split("+")}
    for key, values in config.vary.items():
        head = key.rpartition(".")[0]
        if not values:
            raise ConfigError(f"--vary {key} has no values; write --vary {key}=1,2.")
        if _of_run(key):
            if key.partition(".")[0] in OF_THE_GRID:
                raise ConfigError(f"--vary {key}: that is what {OF_THE_GRID[key.partition('.')[0]]} lists.")
            if PLAIN in config.methods or (key.partition(".")[0] in KNOBS and len(config.methods) > 1):
                _check_owner(key, values, config.methods)
        elif head not in parts:
            known = did_you_mean(head or key, {*parts, *TrainConfig.model_fields}, sorted(parts))
            raise ConfigError(f"--vary {key} belongs to no method here, and is no key of kdcache train; {known}")


def _check_owner(key: str, values: tuple[Any, ...], methods: tuple[str, ...]) -> None:
    """Refuse a key of a run that only one of these `methods` can have."""
    group, _, knob = key.partition(".")
    if group not in (*KNOBS, *WEIGHTS):
        return
    owned = [
        f"--vary {part}.{knob or group}={_listed(values)}"
        for method in methods
        for part in method.split("+")
        if part != PLAIN and _place(f"{part}.{knob or group}", Composition(method=method)) == key
    ]
    mend = " or ".join(dict.fromkeys(owned)) or "a method of --methods and its knob, as in --vary kd.tau=2,4"
    raise ConfigError(f"{key} belongs to one method, and --methods names {', '.join(methods)}; say which: {mend}.")


def _runs(config: CompareConfig, store: Path, student: str, method: str) -> Iterator[tuple[Group, TrainConfig]]:
    """Every setting of one method on one student, whatever the seed; with the live teacher where wanted, too."""
    composition = Composition(method=None if method == PLAIN else method)
    axes = [
        [(key, place, value) for value in values]
        for key, values in config.vary.items()
        if (place := _place(key, composition)) is not None
    ]
    for chosen in itertools.product(*axes):
        values = {**copy.deepcopy(config.run), "store": (store,), "student": student, "out": config.out}
        live = values.pop("live_teacher", None) or {}
        if method == PLAIN:
            values.pop("published", None)  # the authors' numbers are a method's
        else:
            values["method"] = method
        for _, place, value in chosen:
            _put(values, place, value)
        if config.preset:
            values = preset_named(config.preset).beneath(values, student)
        run = build(TrainConfig, values, origin=f"{student}, {method}")
        run.validate_over(run.epochs)
        group = Group(
            store=store.resolve().name,
            student=student,
            method=method,
            settings=tuple(f"{_short(key)}={_word(value)}" for key, _, value in chosen),
            teacher="cached" if run.asks_a_teacher else "none",
        )
        yield group, run
        if method in config.live and group.teacher == "cached":
            yield replace(group, teacher="live"), build(TrainConfig, {**values, "live_teacher": live})


def _cell(out: Path, group: Group, run: TrainConfig, seed: int) -> Cell:
    live = ["live"] if group.teacher == "live" else []
    words = [group.store, group.student, group.method, *group.settings, *live, f"s{seed}"]
    name = re.sub(r"[^A-Za-z0-9._+=,-]", ".", "-".join(words))
    return Cell(name=name, group=group, config=run.model_copy(update={"seed": seed, "out": out / "runs" / name}))


def _of_run(key: str) -> bool:
    return key.partition(".")[0] in TrainConfig.model_fields


def _place(key: str, composition: Composition) -> str | None:
    """Where `TrainConfig` has what `key` varies; None where the composition has no such thing."""
    if _of_run(key):
        return key
    method, _, knob = key.rpartition(".")
    if method == composition.base:
        return knob if knob in WEIGHTS else f"knobs.{knob}"
    if method == composition.refine:
        return f"refine_knobs.{knob}"
    return f"temperature_knobs.{knob}" if method == composition.temperature else None


def _put(values: dict[str, Any], place: str, value: Any) -> None:
    *groups, name = place.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[name] = value


def _short(key: str) -> str:
    """`tau` of `kd.tau`; a key of a run stays whole."""
    return key if _of_run(key) else key.rpartition(".")[2]


def _word(value: Any) -> str:
    """A value in a name; what is no single value by eight digits of its hash."""
    if isinstance(value, Mapping | list | tuple):
        return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(values: tuple[Any, ...]) -> str:
    """As --vary reads them: `2,4`; what has commas of its own as JSON."""
    nested = any(isinstance(value, Mapping | list | tuple) for value in values)
    return canonical_json(values) if nested else ",".join(map(canonical_json, values))


def _decisive(config: TrainConfig) -> dict[str, Any]:
    values = dict(flat(config.model_dump(mode="json", exclude=set(WITHOUT_EFFECT))))
    places = {key: str(Path(values[key]).resolve()) for key in PLACES if values.get(key) is not None}
    return {**values, **places, "store": [str(path.resolve()) for path in config.store]}
