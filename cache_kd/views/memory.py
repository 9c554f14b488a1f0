"""What a module keeps from call to call: every value that can be reached from its names, each by its path."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

# values looked at, nearest first, and of each list or dict: transforms have hundreds, a module may hold a data set
MOST = 20_000
MOST_OF_EACH = 200

# what draws by itself, and how to read where it stands
GENERATORS: dict[type, Callable[[Any], Any]] = {
    random.Random: lambda generator: generator.getstate(),
    np.random.RandomState: lambda generator: str(generator.get_state()),
    np.random.Generator: lambda generator: str(generator.bit_generator.state),
    torch.Generator: lambda generator: generator.get_state().numpy().tobytes(),
}


def snapshot(module: ModuleType) -> dict[str, Any]:
    """The values of `module` as they are now: path -> something that compares equal while a value stays the same."""
    return {path: _standing(value) for path, value in _reached(module)}


def moved(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Paths whose value is another one, without those below such a path."""
    changed: list[str] = []
    for path, value in after.items():  # the nearest first
        below = path.startswith(tuple(f"{other}{joint}" for other in changed for joint in ".["))
        if value != before.get(path) and not below:
            changed.append(path)
    return changed


def generators_of(module: ModuleType) -> dict[str, str]:
    """The random generators among its values: path -> package and class, such as `numpy.Generator`."""
    drawing = {path: type(value) for path, value in _reached(module) if isinstance(value, tuple(GENERATORS))}
    return {path: f"{_package(kind)}.{kind.__qualname__}" for path, kind in drawing.items()}


def packages_of(module: ModuleType) -> set[str]:
    """The packages that the classes of its values come from."""
    return {_package(type(value)) for _, value in _reached(module)}


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _reached(module: ModuleType) -> Iterator[tuple[str, Any]]:
    return islice(_all_reached(module), MOST)


def _all_reached(module: ModuleType) -> Iterator[tuple[str, Any]]:
    waiting = deque((name, value) for name, value in vars(module).items() if not name.startswith("__"))
    seen: set[int] = set()
    while waiting:
        path, value = waiting.popleft()
        foreign = isinstance(value, type | FunctionType) and value.__module__ != module.__name__
        if id(value) in seen or foreign or isinstance(value, ModuleType):
            continue
        if not isinstance(value, str | bytes | int | float | None):
            seen.add(id(value))
        yield path, value
        waiting.extend(_below(path, value))


def _below(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple(GENERATORS)):
        return
    if isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            if cell != CellType():  # an empty one, whose contents cannot be asked for
                yield f"{path}.{name}", cell.cell_contents
        for place, default in enumerate(value.__defaults__ or ()):
            yield f"{path}.__defaults__[{place}]", default
    # the functions of `random` and `numpy.random` are methods of the global generators, which are nobody's own
    if isinstance(value, MethodType) and not isinstance(value.__self__, tuple(GENERATORS)):
        yield f"{path}.__self__", value.__self__
    if isinstance(value, list | tuple):
        yield from ((f"{path}[{place}]", below) for place, below in enumerate(value[:MOST_OF_EACH]))
    if isinstance(value, dict):
        yield from ((f"{path}[{key!r}]", below) for key, below in islice(value.items(), MOST_OF_EACH))
    attributes = getattr(value, "__dict__", None) or {}
    yield from ((f"{path}.{name}", below) for name, below in attributes.items() if not name.startswith("__"))


def _standing(value: Any) -> Any:
    for kind, state in GENERATORS.items():
        if isinstance(value, kind):
            return state(value)
    if isinstance(value, str | bytes | int | float | None):
        return (value,)  # within a tuple, NaN equals itself
    return id(value), len(value) if isinstance(value, list | dict | set | deque) else 0
