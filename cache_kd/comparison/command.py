"""The commands that a person would type for a run, and for a whole comparison."""

import json
import shlex
from collections.abc import Iterable
from typing import Any

from cache_kd.comparison.grid import CompareConfig, flat
from cache_kd.config import parse_value
from cache_kd.train_config import TrainConfig

# keys of a run that have an option of their own
OPTIONS = {
    "student": "--student",
    "method": "--method",
    "refine": "--refine",
    "temperature": "--temperature",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "seed": "--seed",
    "out": "--out",
}


def train_command(config: TrainConfig) -> str:
    """The `kdcache train` that gives the same run.

    >>> from pathlib import Path
    >>> train_command(TrainConfig(student="resnet8", store=(Path("s"),), method="kd", knobs={"tau": 2.0}, out="r"))
    'kdcache train --store s --student resnet8 --method kd --out r --set knobs.tau=2.0'
    """
    given = dict(flat(config.model_dump(mode="json", exclude_defaults=True, exclude={"store"})))
    if config.optimiser.name == "adamw":  # which has no default of it
        given["optimiser.lr"] = config.optimiser.lr
    words = ["kdcache", "train"]
    for path in config.store:
        words += ["--store", str(path)]
    for key, option in OPTIONS.items():
        if key in given:
            words += [option, str(given.pop(key))]
    if config.live_teacher is not None:
        words.append("--live-teacher")
        given.pop("live_teacher", None)
    return shlex.join([*words, *_set(given.items())])


def compare_command(config: CompareConfig) -> str:
    """The `kdcache compare` that gives, and goes on with, the same comparison."""
    words = ["kdcache", "compare"]
    for option, values in (("--store", map(str, config.store)), ("--student", config.student)):
        for value in values:
            words += [option, value]
    words += ["--methods", ",".join(config.methods), "--seeds", _seeds(config.seeds)]
    for key, values in config.vary.items():
        words += ["--vary", f"{key}={json.dumps(values)}"]
    if config.live:
        words += ["--live", ",".join(config.live)]
    if config.preset:
        words += ["--preset", config.preset]
    return shlex.join([*words, *_set(flat(config.run)), "--out", str(config.out)])


def _set(given: Iterable[tuple[str, Any]]) -> list[str]:
    return [word for key, value in given for word in ("--set", f"{key}={_text(value)}")]


def _text(value: Any) -> str:
    """What `config.parse_value` reads as `value`."""
    return value if isinstance(value, str) and parse_value(value) == value else json.dumps(value)


def _seeds(seeds: tuple[int, ...]) -> str:
    """A number for that many from 0; else a list, which one seed becomes by its comma."""
    if seeds == tuple(range(len(seeds))):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")
