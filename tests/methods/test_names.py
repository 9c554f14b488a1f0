"""Methods are found by name, and whatever does not fit is refused by name."""

import re

import pytest

from cache_kd.description import describe
from cache_kd.distill import Method, needs_of
from cache_kd.errors import ConfigError
from cache_kd.methods import DATA_SETS, make_method, names, published_for
from cache_kd.schedule import Course


def test_the_names_are_the_files_in_the_folder():
    assert names() == sorted(names())
    assert {"atkd", "dtd", "kd", "la", "normkd", "rld"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_an_unknown_knob_is_named_with_the_nearest_one(name):
    knob = next(iter(describe(name).knobs), None)
    if knob is None:
        with pytest.raises(ConfigError, match=rf"{name} has no knob 'tau'; it has none"):
            make_method(name, tau=1.0)
        return
    with pytest.raises(ConfigError, match=rf"{name} has no knob '{knob}x'; did you mean '{knob}'.*{name}\({knob}="):
        make_method(name, **{f"{knob}x": 1.0})


def test_an_unknown_method_is_named_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"'nromkd'; did you mean 'normkd'.*package\.module:function"):
        make_method("nromkd")


@pytest.mark.parametrize(
    ("name", "knobs", "words"),
    [
        ("kd", {"tau": "four"}, "tau='four' does not fit"),
        ("kd", {"tau": "4"}, "tau='4' does not fit"),
        ("kd", {"tau": 1e300}, "tau=1e\\+300 does not fit"),
        ("kd", {"tau": True}, "tau=True does not fit"),
        ("kd", {"tau": 0.0}, "greater than or equal to 0.0001"),
        ("kd", {"tau": 1e-14}, "greater than or equal to 0.0001"),
        ("dtd", {"tau": 1.0, "min_tau": 2.0}, "min_tau=2 is above tau=1; .* Lower min_tau"),
        ("kd", {"tau": float("inf")}, "finite"),
        ("rld", {"beta": -1.0}, "greater than or equal to 0"),
        ("dtd", {"shift": 1}, "shift=1 does not fit"),
        ("la", {"style": "swap"}, "'shift' or 'label_smooth'"),
        ("la", {"label_probability": 1.0}, "less than 1"),
        ("dtd", {"rule": None}, "rule=None does not fit"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(name, knobs, words):
    with pytest.raises(ConfigError, match=f"{name}: .*{words}|{words}"):
        make_method(name, **knobs)


def test_an_integer_is_a_number_too():
    assert isinstance(make_method("kd", tau=2), Method)


@pytest.mark.parametrize("name", names())
def test_a_method_describes_itself(name):
    description = describe(name)
    assert description.name == name == make_method(name).name
    assert re.search(r"(et al\.|Zheng and Yang).*(arXiv \d{4}\.\d{5}|pages)", description.paper)
    assert "\n" not in description.paper
    assert re.search(r"(19|20)\d\d", description.reference)
    assert len(description.reference) < 80
    for knob in description.knobs:
        assert f"\n    {knob}: " in description.text, "every knob is explained under Args"


@pytest.mark.parametrize("name", names())
def test_what_the_text_says_a_method_needs_is_what_the_method_reads(name):
    said = " ".join(describe(name).text.partition("Needs:")[2].split())
    needs = needs_of(make_method(name))
    assert said.startswith("all logits" if needs.teacher else "no logits")
    assert ("label" in said) == needs.label or (name, needs.label) == ("dtd", False)  # only with shift
    assert ("batch" in said) == needs.batch
    assert ("two views" in said) == (needs.views == 2)
    assert ("second head" in said) == needs.head
    assert ("parameter" in said) == needs.parameters


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("data_set", DATA_SETS)
def test_the_authors_numbers_fit_the_knobs(name, data_set):
    published = published_for(name, data_set)
    assert (data_set in describe(name).published) == (published is not None)
    if published is not None:
        knobs = {knob: value.at(1) if isinstance(value, Course) else value for knob, value in published.knobs.items()}
        assert isinstance(make_method(name, **knobs), Method)


OUTSIDE = '''
from cache_kd.methods.kd import kd

def half(tau: float, sharper: bool = False):
    """Nobody et al., Half the Temperature, 2026."""
    return kd(tau=tau / 2)

def untyped(tau=3.0):
    return kd(tau=tau)

def nothing():
    return (1, 2)
'''


@pytest.fixture
def outside(own_module):
    return own_module("my_own_methods", OUTSIDE)


def test_a_function_outside_is_a_method_like_any_other(outside):
    assert isinstance(make_method(f"{outside}:half", tau=2), Method)
    assert isinstance(make_method(f"{outside}:untyped", tau=2.0), Method)
    assert describe(f"{outside}:half").paper == "Nobody et al., Half the Temperature, 2026."
    assert describe(f"{outside}:half").needs == "not known before its knobs are"
    assert describe(f"{outside}:half").facts() == {
        "Knobs": "tau, sharper=False",
        "Its own": "not known before its knobs are",
        "Lends": "not known before its knobs are",
        "Needs": "not known before its knobs are",
    }
    assert describe(f"{outside}:untyped").needs == "all logits"
    assert describe(f"{outside}:half").knobs == {"tau": None, "sharper": False}


def test_a_function_outside_is_held_to_its_signature(outside):
    with pytest.raises(ConfigError, match="needs a value for 'tau'"):
        make_method(f"{outside}:half")
    with pytest.raises(ConfigError, match="did you mean 'tau'"):
        make_method(f"{outside}:half", taus=1.0)
    with pytest.raises(ConfigError, match="tau='x' does not fit"):
        make_method(f"{outside}:half", tau="x")
    with pytest.raises(ConfigError, match=r"returns tuple; expected a cache_kd\.distill\.Method"):
        make_method(f"{outside}:nothing")
    with pytest.raises(ConfigError, match="has no function 'quarter'"):
        make_method(f"{outside}:quarter")
