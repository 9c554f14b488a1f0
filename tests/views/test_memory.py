import random
from types import MethodType, ModuleType

import numpy as np

from cache_kd.views.memory import generators_of, moved, snapshot


class Holder:
    def __init__(self, **values):
        vars(self).update(values)


def make_module(**values):
    module = ModuleType("of_a_user")
    vars(module).update(values)
    return module


def test_nothing_moves_where_nothing_is_done():
    itself = Holder(nan=float("nan"), picture=np.zeros(3), text="t", steps=[Holder(p=0.5)], names={"a": None})
    itself.itself = itself
    module = make_module(transform=itself, np=np)
    assert moved(snapshot(module), snapshot(module)) == []


def test_what_moves_is_named_by_its_path():
    inner, drawn = Holder(calls=0), {"by": 1, "left": 2}
    module = make_module(transform=Holder(steps=[1, inner]), drawn=drawn, limit=3)
    before = snapshot(module)
    inner.calls, drawn["by"] = 1, 5
    assert moved(before, snapshot(module)) == ["drawn['by']", "transform.steps[1].calls"]


def test_a_value_that_was_replaced_is_named_without_what_is_in_it():
    holder = Holder(previous=Holder(size=1))
    module = make_module(transform=holder)
    before = snapshot(module)
    holder.previous, holder.before = Holder(size=2), holder.previous
    assert moved(before, snapshot(module)) == ["transform.previous", "transform.before"]


def test_generators_are_found_wherever_they_are_held():
    def make(rng):
        return lambda picture: rng.integers(2)

    transform, empty = make(np.random.default_rng(0)), (lambda: later)
    transform.__module__ = empty.__module__ = "of_a_user"
    module = make_module(transform=transform, empty=empty)
    assert generators_of(module) == {"transform.rng": "numpy.Generator"}
    before = snapshot(module)
    transform(None)
    assert moved(before, snapshot(module)) == ["transform.rng"]
    later = None


def test_an_object_is_found_behind_its_method():
    holder = Holder(calls=0)
    module = make_module(transform=MethodType(lambda self, picture: picture, holder))
    before = snapshot(module)
    holder.calls = 1
    assert moved(before, snapshot(module)) == ["transform.__self__.calls"]


def test_the_global_generators_are_nobodys_own():
    assert generators_of(make_module(draw=random.randrange, rand=np.random.rand, random=random)) == {}


def test_a_large_module_is_looked_at_from_its_names_downwards():
    counter = Holder(calls=0)
    module = make_module(data=[[[0]] for _ in range(3000)], deep=Holder(counter=counter))
    before = snapshot(module)
    counter.calls = 1
    assert moved(before, snapshot(module)) == ["deep.counter.calls"]
