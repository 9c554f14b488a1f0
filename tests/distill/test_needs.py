"""What a method reads is found by asking it."""

from dataclasses import dataclass, replace

import pytest
import torch

from cache_kd.distill import Method, Term, compose, needs_of
from cache_kd.distill.divergence import kl
from cache_kd.distill.needs import reads_student
from cache_kd.distill.refine import keep
from cache_kd.distill.temperature import Constant
from cache_kd.methods import make_method, names
from cache_kd.methods.dtd import cwsm, following


def test_a_composition_needs_what_its_parts_need():
    plain = needs_of(make_method("kd"))
    assert (plain.label, plain.batch) == (False, False)
    composed = needs_of(compose(make_method("kd"), refine=make_method("la"), temperature=make_method("dtd")))
    assert (composed.label, composed.batch) == (True, True)


def test_a_weight_of_zero_hides_nothing():
    assert needs_of(make_method("rld", alpha=0.0, beta=0.0)).label


def test_a_method_from_outside_cannot_forget_to_say_it():
    def only_the_last_class(student, teacher, labels):
        return kl(student, teacher, labels) * (labels == labels.max())

    term = Term(refine=keep, temperature=Constant(1.0), divergence=only_the_last_class)
    needs = needs_of(Method(name="own", terms=(term,), hard_weight=1.0, soft_weight=1.0))
    assert needs.label
    assert needs.teacher


def test_a_method_for_one_number_of_classes_is_taken_to_need_everything():
    weights = torch.ones(100)

    def weighted(student, teacher, labels):
        return kl(student * weights, teacher * weights, labels)

    term = Term(refine=keep, temperature=Constant(1.0), divergence=weighted)
    needs = needs_of(Method(name="hundred", terms=(term,), hard_weight=1.0, soft_weight=1.0))
    assert (needs.teacher, needs.label, needs.batch) == (True, True, True)


@pytest.mark.parametrize("bias", [1.0, 2.0, 5.0])
def test_a_rule_that_shows_on_few_rows_is_seen(bias):
    # a floor above the mean temperature holds all rows but the surest
    term = Term(refine=keep, temperature=following(cwsm, tau=1.0, bias=bias, min_tau=2.0), divergence=kl)
    assert needs_of(Method(name="floored", terms=(term,), hard_weight=1.0, soft_weight=1.0)).batch


def test_a_small_loss_hides_nothing():
    minute = Term(refine=keep, temperature=Constant(1e-14), divergence=kl)
    assert needs_of(Method(name="minute", terms=(minute,), hard_weight=1.0, soft_weight=1.0)).teacher


def test_whatever_a_role_raises_over_other_classes_it_is_taken_to_need_everything():
    def for_a_hundred(student, teacher, labels):
        if student.shape[1] != 100:
            raise ValueError("made for 100 classes")
        return kl(student, teacher, labels)

    term = Term(refine=keep, temperature=Constant(1.0), divergence=for_a_hundred)
    needs = needs_of(Method(name="hundred", terms=(term,), hard_weight=1.0, soft_weight=1.0))
    assert (needs.teacher, needs.label, needs.batch) == (True, True, True)


@dataclass
class Warm:
    """A plain dataclass: equal by value and so not hashable."""

    tau: float

    def __call__(self, student, teacher, labels):
        return Constant(self.tau)(student, teacher, labels)


def test_a_role_that_is_not_hashable_is_asked_like_any_other():
    term = Term(refine=keep, temperature=Warm(2.0), divergence=kl)
    warm = Method(name="warm", terms=(term, term), hard_weight=1.0, soft_weight=1.0)
    needs = needs_of(compose(make_method("dkd"), temperature=warm))
    assert (needs.teacher, needs.label, needs.batch) == (True, True, False)


def test_what_a_step_must_bring_is_in_words():
    assert str(needs_of(make_method("mlld"))) == "all logits, the batch, 2 views"
    assert str(needs_of(make_method("dhkd"))) == "all logits, a second head"
    assert str(needs_of(make_method("uskd"))) == "no logits, the label, the batch"


def test_which_temperatures_follow_the_student():
    assert {name for name in names() if reads_student(make_method(name))} == {"atkd", "dtd"}
    assert not reads_student(make_method("atkd", of="teacher"))


def test_asking_leaves_the_generator_and_the_parameters_alone():
    torch.manual_seed(1)
    method = replace(make_method("ctkd"), soft_weight=2.0)
    before = torch.get_rng_state(), method.terms[0].temperature.weight.clone()
    assert needs_of(method).parameters
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(method.terms[0].temperature.weight, before[1])
    assert method.terms[0].temperature.weight.grad is None
