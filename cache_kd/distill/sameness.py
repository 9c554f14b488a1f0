"""Whether two methods, or roles of them, are the same computation: the same code over the same values."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType

import torch
from torch import Tensor, nn


def same(first: object, second: object) -> bool:
    """Whether `first` and `second` compute the same: equal code, and the same in whatever it closes over or holds.

    Nothing is run, so a value counts even where no sample would show it, such as the factor of a gradient. What
    cannot be looked into is the same only where it says so itself.
    """
    return _same(first, second, set())


def _same(first: object, second: object, under_way: set[tuple[int, int]]) -> bool:
    def both(one: object, other: object) -> bool:
        return _same(one, other, under_way)

    if first is second:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(both, first, second))
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(both(first[key], second[key]) for key in first)
    if not isinstance(first, FunctionType | nn.Module) and not is_dataclass(first):
        return (first == second) is True
    pair = id(first), id(second)
    if pair in under_way:  # a function that closes over itself
        return True
    under_way.add(pair)
    return both(_held(first), _held(second))


def _held(whole: object) -> object:
    """All that makes a function, a module or a dataclass what it is."""
    if isinstance(whole, FunctionType):
        cells = [cell.cell_contents for cell in whole.__closure__ or ()]
        return [whole.__code__, cells, whole.__defaults__, whole.__kwdefaults__]
    if isinstance(whole, nn.Module):
        return vars(whole)
    return {field.name: getattr(whole, field.name) for field in fields(whole)}  # type: ignore[arg-type]
