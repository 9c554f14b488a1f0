"""A role from one method in another, where something is left of each."""

import pytest

from cache_kd.distill import compose, lends, roles_of
from cache_kd.errors import ConfigError
from cache_kd.methods.atkd import atkd
from cache_kd.methods.dkd import dkd
from cache_kd.methods.dtd import dtd
from cache_kd.methods.kd import kd
from cache_kd.methods.la import la
from cache_kd.methods.lskd import lskd
from cache_kd.methods.mlld import mlld
from cache_kd.methods.mse import mse
from cache_kd.methods.normkd import normkd
from cache_kd.methods.rc import rc
from cache_kd.methods.rld import rld


def test_a_lent_temperature_goes_into_every_term_and_the_rest_stays():
    lender = normkd()
    composed = compose(dkd(alpha=4.0), temperature=lender)
    assert {term.temperature for term in composed.terms} == {lender.terms[0].temperature}
    assert [term.weight for term in composed.terms] == [4.0, 8.0]
    assert [term.divergence for term in composed.terms] == [term.divergence for term in dkd().terms]
    assert (composed.hard_weight, composed.soft_weight) == (1.0, 1.0)


def test_both_roles_at_once():
    composed = compose(dkd(), refine=la(), temperature=dtd())
    assert composed.name == "dkd+la+dtd"
    assert roles_of(composed) == ("refine", "temperature", "divergence")


def test_roles_are_read_from_the_terms():
    assert roles_of(kd()) == ()
    assert roles_of(dtd(shift=True)) == ("refine", "temperature")
    assert roles_of(rld()) == ("divergence",)
    assert lends(atkd()) == ("temperature",)
    assert lends(dtd(shift=True)) == ("refine", "temperature")
    assert lends(la(style="label_smooth")) == lends(rc()) == lends(rld()) == ()


@pytest.mark.parametrize(
    ("method", "lent", "reason"),
    [
        (normkd(), {"temperature": lskd()}, "nothing of normkd would be left, for its temperature is all there is"),
        (la(), {"refine": la()}, "nothing of la would be left"),
        (kd(), {"temperature": rld()}, "rld has no temperature to lend: its temperature is constant"),
        (kd(), {"refine": normkd()}, "normkd has no refinement to lend: it keeps the teacher's logits as they are"),
        (kd(), {"refine": rc()}, "rc has no refinement to lend: each of its terms has another one"),
        (kd(), {"refine": la(style="label_smooth")}, "a smoothed label belongs to one constant temperature"),
        (rld(), {"refine": la()}, "with a corrected teacher, always right, it is dkd"),
        (mse(), {"temperature": normkd()}, "it compares the logits as they are"),
        (mlld(), {"temperature": atkd()}, "it softens at five temperatures at once"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_combination_without_sense_is_refused_with_the_reason(method, lent, reason):
    with pytest.raises(ConfigError, match=reason):
        compose(method, **lent)
