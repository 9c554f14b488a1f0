"""What a student learns, as configuration."""

import pytest
import torch

from cache_kd.composition import Composition
from cache_kd.distill.temperature import Constant
from cache_kd.errors import ConfigError
from cache_kd.schedule import Course

COOLING = {"points": [[1, 8.0], [5, 4.0]]}


def test_nothing_asked_is_plain_cross_entropy():
    assert Composition().at(1) is None
    assert Composition().label == "ce"


def test_a_borrowed_role_without_a_method_makes_kd():
    composition = Composition(refine="la", temperature="dtd")
    assert composition.label == "kd+la+dtd"
    assert composition.at(1).name == "kd+la+dtd"


def test_a_name_with_pluses_says_it_in_one_word():
    short = Composition(method="dkd+la+normkd", temperature_knobs={"tau": 0.5})
    assert short == Composition(method="dkd", refine="la", temperature="normkd", temperature_knobs={"tau": 0.5})
    assert Composition(method=short.label) == Composition(method="dkd", refine="la", temperature="normkd")


def test_knobs_reach_the_method_they_are_for():
    composition = Composition(
        method="dkd", knobs={"alpha": 4.0, "beta": 5.0}, temperature="normkd", temperature_knobs={"tau": 0.5}
    )
    assert [term.weight for term in composition.at(1).terms] == [4.0, 5.0]
    with pytest.raises(ConfigError, match="normkd has no knob 'alpha'"):
        composition.model_copy(update={"temperature_knobs": {"alpha": 1.0}}).at(1)


@pytest.mark.parametrize("course", [COOLING, Course.model_validate(COOLING)], ids=["from a file", "from Python"])
def test_any_number_may_follow_a_course(course):
    composition = Composition(method="kd", knobs={"tau": course}, soft_weight={"points": [[0, 0.0], [20, 1.0]]})
    assert [composition.at(epoch).terms[0].temperature for epoch in (1, 3, 9)] == [
        Constant(8.0),
        Constant(6.0),
        Constant(4.0),
    ]
    assert [composition.at(epoch).soft_weight for epoch in (1, 20, 30)] == [0.05, 1.0, 1.0]
    assert composition.at(1).hard_weight == 0.1
    assert sorted(composition.courses()) == ["knobs.tau", "soft_weight"]


def test_published_numbers_are_taken_only_when_asked_for_and_give_way_to_what_is_said():
    assert Composition(method="rld").at(1).soft_weight == 1.0
    published = Composition(method="rld", published="cifar")
    assert published.at(1).soft_weight == 0.05
    assert published.at(20).terms[0].temperature == Constant(4.0)
    said = Composition(method="rld", published="cifar", knobs={"sc_tau": 2.0}, soft_weight=3.0)
    assert (said.at(1).soft_weight, said.at(1).terms[0].temperature) == (3.0, Constant(2.0))
    imagenet = Composition(method="kd", published="imagenet").at(1)
    assert (imagenet.hard_weight, imagenet.soft_weight) == (0.5, 0.5)


def test_a_course_survives_the_run_folder():
    composition = Composition(method="kd", knobs={"tau": Course.model_validate(COOLING)})
    again = Composition.model_validate_json(composition.model_dump_json())
    assert again.at(3).terms == composition.at(3).terms


def test_every_epoch_is_tried_before_the_first():
    falling = Composition(method="kd", knobs={"tau": {"points": [[1, 4.0], [5, -4.0]]}})
    falling.validate_over(2)
    with pytest.raises(ConfigError, match=r"kd: tau=0\.0 does not fit"):
        falling.validate_over(5)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"method": "kd", "knobs": {"tau": {"points": []}}}, "not a course over the epochs .* Write"),
        ({"method": "kd", "knobs": {"tau": {"pionts": [[1, 2.0]]}}}, "not a course"),
        ({"method": "kd", "knobs": {"tau": {"points": [[9, 1.0], [3, 1.0]]}}}, "epochs of a course go up"),
        ({"knobs": {"tau": 4.0}}, "knobs is given, but no method that it belongs to"),
        ({"soft_weight": 0.5}, "soft_weight is given, but no method"),
        ({"hard_weight": 0.0}, "hard_weight is given, but no method"),
        (
            {"method": "kd", "soft_weight": {"points": [[1, -2.0]]}},
            "soft_weight comes to -2; a weight is finite and 0 or more",
        ),
        ({"published": "cifar"}, "published is given, but no method"),
        ({"method": "kd", "refine_knobs": {"tau": 1.0}}, "refine_knobs are given, but no method .* --refine"),
        ({"method": "atkd", "published": "imagenet"}, "authors of atkd published no numbers for imagenet"),
        ({"method": "cache_kd.methods.mse:mse", "published": "cifar"}, "published no numbers for cifar"),
        ({"method": "kd+rld"}, "kd\\+rld: rld can lend no role"),
        ({"method": "kd+normkd+lskd"}, "more than one temperature"),
        ({"method": "kd+normkd", "temperature": "lskd"}, "more than one temperature"),
        ({"method": "kd+nromkd"}, "did you mean 'normkd'"),
        ({"method": "normkd", "temperature": "lskd"}, "nothing of normkd would be left"),
        ({"method": "dkd+lskd", "published": "imagenet"}, "authors of lskd published no numbers for imagenet"),
        ({"method": ""}, "method is '', in which a name is missing; .* leave --method out"),
        ({"method": "dkd+"}, "method is 'dkd\\+', in which a name is missing"),
        ({"refine": ""}, "refine is '', in which a name is missing"),
        ({"method": "dkd", "temperature": ""}, "temperature is '', in which a name is missing"),
        ({"method": "mlld", "knobs": {"views": {"points": [[1, 1], [2, 2]]}}}, "views is no number that could follow"),
        ({"method": "dhkd", "knobs": {"aligned": {"points": [[1, 1]]}}}, "aligned is no number that could follow"),
    ],
)
def test_what_does_not_fit_is_refused(config, words):
    with pytest.raises(ConfigError, match=words):
        Composition(**config).at(1)


def test_a_lender_brings_its_authors_numbers_when_they_are_asked_for():
    learned = Composition(method="kd+ctkd", published="cifar")
    assert list(learned.courses()) == ["temperature_knobs.strength"]
    assert learned.at(10).terms[0].temperature.strength == -1.0
    assert learned.at(1).terms[0].temperature.strength > -0.1
    logits, labels = torch.randn(3, 9), torch.zeros(3, dtype=torch.long)
    lent = Composition(method="dkd+normkd", published="imagenet")
    alone = Composition(method="normkd", published="imagenet")
    taus = [method.at(1).terms[0].temperature(logits, logits, labels).teacher for method in (lent, alone)]
    torch.testing.assert_close(*taus)


def test_what_is_given_for_a_lender_stands_above_its_authors_numbers():
    said = Composition(method="kd+ctkd", published="cifar", temperature_knobs={"strength": -0.5})
    assert said.courses() == {}
    assert said.at(1).terms[0].temperature.strength == -0.5


@pytest.mark.parametrize(
    ("config", "knob"),
    [
        ({"method": "dkd+normkd", "knobs": {"tau": 99.0}}, "knobs.tau=99.0 .* in dkd is borrowed from another"),
        ({"method": "dkd+normkd", "knobs": {"tau": 4.0}}, "knobs.tau=4.0 "),  # its default
        ({"method": "rld+lskd", "knobs": {"alpha": 9.0, "sc_tau": 2.0}}, "knobs.sc_tau=2.0 "),
        ({"refine": "la", "refine_knobs": {"tau": 2.0}}, "refine_knobs.tau=2.0 .* in la is not what is borrowed"),
        ({"refine": "dtd", "refine_knobs": {"shift": True, "bias": 2.0}}, "refine_knobs.bias=2.0 "),
        ({"temperature": "own_lender:both", "temperature_knobs": {"shift": True}}, "temperature_knobs.shift=True "),
    ],
)
def test_a_given_knob_that_only_sets_what_is_borrowed_is_refused(config, knob, own_lender):
    with pytest.raises(ConfigError, match=f"{knob}.*Leave it out"):
        Composition(**config).at(1)


@pytest.mark.parametrize(
    "config",
    [
        {"method": "rld+lskd", "knobs": {"alpha": 9.0, "beta": 72.0}},
        {"refine": "la", "knobs": {"tau": 2.0}},
        {"temperature": "ctkd", "temperature_knobs": {"strength": -0.5, "least": 2.0, "span": 5.0}},
        {"temperature": "dtd", "temperature_knobs": {"min_tau": 0.5, "similarity": "probability"}},
        {"method": "dhkd", "refine": "la", "knobs": {"aligned": False, "tau": 2.0}},
        {"temperature": "own_lender:both", "temperature_knobs": {"tau": 3.0}},
    ],
)
def test_a_given_knob_that_acts_is_taken(config, own_lender):
    assert Composition(**config).at(1) is not None


def test_a_lender_whose_knob_has_no_default_has_the_value_that_is_given_for_its_role(own_lender):
    method = f"dkd+{own_lender}:needy"
    assert Composition(method=method, temperature_knobs={"tau": 2.0}).temperature == f"{own_lender}:needy"
    falling = Composition(method=method, temperature_knobs={"tau": COOLING})
    assert list(falling.courses()) == ["temperature_knobs.tau"]
    with pytest.raises(ConfigError, match="needs a value for 'tau', which has no default"):
        Composition(method=method)


OWN_LENDER = """
from cache_kd.distill import Method, Temperatures, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.refine import keep, probability_shift

def both(tau: float = 4.0, shift: bool = False):
    def rule(student, teacher, labels):
        shared = student.new_full((1, 1), tau)
        return Temperatures(student=shared, teacher=shared, gain=shared)
    term = Term(refine=probability_shift if shift else keep, temperature=rule, divergence=kl)
    return Method(name="both", terms=(term,), hard_weight=0.1, soft_weight=0.9)

def needy(tau: float):
    return both(tau)
"""


@pytest.fixture
def own_lender(own_module):
    return own_module("own_lender", OWN_LENDER)
