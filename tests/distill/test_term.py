"""A method is the weighted sum of its terms, and only the student learns."""

from dataclasses import FrozenInstanceError, replace

import jaxtyping
import pytest
import torch

from cache_kd.distill import (
    Method,
    Temperatures,
    Term,
    hard_loss,
    needs_of,
    per_sample_loss,
    term_loss,
    training_loss,
    with_roles,
)
from cache_kd.distill.divergence import cross_entropy, kl
from cache_kd.distill.refine import keep, probability_shift
from cache_kd.distill.temperature import Constant
from cache_kd.errors import ConfigError

STUDENT = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
TEACHER = torch.tensor([[3.0, 2.0, 1.0], [0.0, 5.0, 0.0]])
LABELS = torch.tensor([0, 2])
TERM = Term(refine=keep, temperature=Constant(2.0), divergence=kl)
METHOD = Method(name="some", terms=(TERM,), hard_weight=0.25, soft_weight=3.0)


def test_the_weight_and_the_gain_multiply_the_divergence():
    plain = kl(STUDENT / 2, TEACHER / 2, LABELS)
    torch.testing.assert_close(term_loss(replace(TERM, weight=0.5), STUDENT, TEACHER, LABELS), 0.5 * 4 * plain)


def test_gain_and_temperatures_may_differ_from_sample_to_sample():
    def rule(student, teacher, labels):
        column = torch.tensor([[1.0], [2.0]])
        return Temperatures(student=column, teacher=3 * column, gain=5 * column)

    losses = term_loss(replace(TERM, temperature=rule), STUDENT, TEACHER, LABELS)
    first = 5 * kl(STUDENT[:1], TEACHER[:1] / 3, LABELS[:1])
    second = 10 * kl(STUDENT[1:] / 2, TEACHER[1:] / 6, LABELS[1:])
    torch.testing.assert_close(losses, torch.cat([first, second]))


def test_a_method_adds_its_terms():
    other = replace(TERM, divergence=cross_entropy, weight=2.0)
    both = per_sample_loss(replace(METHOD, terms=(TERM, other)), STUDENT, TEACHER, LABELS)
    apart = [term_loss(term, STUDENT, TEACHER, LABELS) for term in (TERM, other)]
    torch.testing.assert_close(both, apart[0] + apart[1])


def test_the_training_loss_weighs_labels_against_teacher():
    expected = 0.25 * hard_loss(STUDENT, LABELS) + 3.0 * per_sample_loss(METHOD, STUDENT, TEACHER, LABELS)
    torch.testing.assert_close(training_loss(METHOD, STUDENT, TEACHER, LABELS), expected)
    assert hard_loss(STUDENT, LABELS)[1].item() == pytest.approx(torch.tensor(3.0).log().item())


def test_the_training_loss_weighs_mixed_labels_too():
    mixed = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    expected = 0.25 * hard_loss(STUDENT, mixed) + 3.0 * per_sample_loss(METHOD, STUDENT, TEACHER, LABELS)
    torch.testing.assert_close(training_loss(METHOD, STUDENT, TEACHER, mixed), expected)


def test_a_training_loss_of_one_set_of_logits_is_no_method_of_two_heads():
    two = replace(METHOD, head=torch.nn.Linear)
    with pytest.raises(ConfigError, match=r"some has a second head: .* kdcache train"):
        training_loss(two, STUDENT, TEACHER, LABELS)
    assert torch.equal(
        per_sample_loss(two, STUDENT, TEACHER, LABELS), per_sample_loss(METHOD, STUDENT, TEACHER, LABELS)
    )


def test_the_temperature_sees_the_refined_teacher():
    seen = []

    def rule(student, teacher, labels):
        seen.append(teacher)
        return Constant(1.0)(student, teacher, labels)

    term_loss(replace(TERM, refine=probability_shift, temperature=rule), STUDENT, TEACHER, LABELS)
    assert torch.equal(seen[0], probability_shift(STUDENT, TEACHER, LABELS))


def test_a_refinement_that_returns_the_student_teaches_without_gradient():
    student = STUDENT.clone().requires_grad_()
    term = replace(TERM, refine=lambda student, teacher, labels: student, divergence=cross_entropy)
    term_loss(term, student, TEACHER, LABELS).sum().backward()
    # the student as its own fixed target: p - p = 0, where the entropy's own gradient is not
    torch.testing.assert_close(student.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16])
def test_narrow_logits_are_widened_and_wide_ones_stay(narrow):
    assert term_loss(TERM, STUDENT.to(narrow), TEACHER.to(narrow), LABELS).dtype == torch.float32
    assert term_loss(TERM, STUDENT, TEACHER.double(), LABELS).dtype == torch.float64
    assert training_loss(METHOD, STUDENT.to(narrow), TEACHER, LABELS).dtype == torch.float32
    assert hard_loss(STUDENT.double(), LABELS).dtype == torch.float64


def test_autocast_does_not_narrow_the_loss():
    expected = training_loss(METHOD, STUDENT, TEACHER, LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(training_loss(METHOD, STUDENT, TEACHER, LABELS), expected, rtol=0, atol=0)


def test_labels_can_be_smoothed_or_mixed():
    mixed = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    expected = -(mixed * STUDENT.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(hard_loss(STUDENT, mixed), expected)
    smoothed = 0.7 * torch.eye(3)[LABELS] + 0.1
    torch.testing.assert_close(hard_loss(STUDENT, LABELS, 0.3), hard_loss(STUDENT, smoothed))


def test_rows_that_are_not_whole_views_are_refused():
    with pytest.raises(ConfigError, match="some takes 2 views of each sample; found 1 rows"):
        per_sample_loss(replace(METHOD, views=2), STUDENT[:1], TEACHER[:1], LABELS[:1])


def test_roles_are_exchanged_in_every_term_and_the_rest_stays():
    method = replace(METHOD, terms=(TERM, replace(TERM, weight=2.0)))
    changed = with_roles(method, divergence=cross_entropy)
    assert [term.divergence for term in changed.terms] == [cross_entropy, cross_entropy]
    assert [term.weight for term in changed.terms] == [1.0, 2.0]
    assert {term.refine for term in changed.terms} == {keep}
    assert (changed.hard_weight, changed.soft_weight) == (0.25, 3.0)
    assert with_roles(method) == method


def test_a_method_is_a_value():
    with pytest.raises(FrozenInstanceError):
        METHOD.soft_weight = 1.0


def test_a_method_without_terms_is_refused():
    with pytest.raises(ConfigError, match="at least one Term"):
        Method(name="some", terms=(), hard_weight=1.0, soft_weight=1.0)


@pytest.fixture
def without_shape_checks_of_the_tests():
    """As at a user's: what is annotated is not looked at."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def temperatures(*, student=(1, 1), teacher=(1, 1), gain=(1, 1)):
    def rule(*_):
        return Temperatures(student=torch.ones(student), teacher=torch.ones(teacher), gain=torch.ones(gain))

    return rule


SQUARE = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [4.0, 0.0, 1.0]])  # as many samples as classes
WRONG_ROLES = {
    "a refined row for all": ({"refine": lambda s, t, y: t[:1]}, r"the refined teacher is of shape \[1, 3\]"),
    "no sum over the classes": (
        {"divergence": lambda s, t, y: (s - t).square()},
        r"the divergence is of shape \[3, 3\]; expected \[3\]: one loss per sample, as \.sum\(dim=-1\) gives",
    ),
    "one loss for all": (
        {"divergence": lambda s, t, y: kl(s, t, y).mean()}, r"the divergence is of shape \[\]; expected \[3\]"
    ),
    "a row of temperatures": (
        {"temperature": temperatures(student=(3,))},
        r"the student's temperature is of shape \[3\]; expected \[3, 1\] or \[1, 1\]: .* as keepdim=True leaves it",
    ),
    "a temperature for each class": (
        {"temperature": temperatures(teacher=(1, 3))}, r"the teacher's temperature is of shape \[1, 3\]"
    ),
    "a row of gains": ({"temperature": temperatures(gain=(3,))}, r"the gain of the temperature is of shape \[3\]"),
    "a plain number": (
        {"temperature": lambda s, t, y: Temperatures(student=4.0, teacher=4.0, gain=16.0)},
        "the student's temperature is a float, no tensor",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("without_shape_checks_of_the_tests")
@pytest.mark.parametrize("wrong", WRONG_ROLES)
def test_a_role_of_another_shape_is_refused_though_it_would_broadcast(wrong):
    roles, words = WRONG_ROLES[wrong]
    method = with_roles(METHOD, **roles)
    labels = torch.tensor([0, 2, 1])
    with pytest.raises(ConfigError, match=f"some: {words}"):
        per_sample_loss(method, SQUARE, SQUARE, labels)
    with pytest.raises(ConfigError, match="some: the "):  # before a training begins
        needs_of(method)


@pytest.mark.usefixtures("without_shape_checks_of_the_tests")
@pytest.mark.parametrize(
    ("student", "teacher", "labels", "words"),
    [
        (STUDENT, TEACHER[:1], LABELS, r"the teacher is of shape \[1, 3\]; expected \[2, 3\]"),
        (STUDENT, TEACHER[:, :2], LABELS, r"the teacher is of shape \[2, 2\]"),
        (STUDENT, TEACHER, LABELS[:1], r"the tensor of labels is of shape \[1\]; expected \[2\] or \[2, 3\]"),
        (STUDENT, TEACHER, LABELS[:, None], r"the tensor of labels is of shape \[2, 1\]"),
        (STUDENT[0], TEACHER[0], LABELS[:1], r"the student's logits are of shape \[3\]; expected \[batch, classes\]"),
    ],
)
def test_logits_and_labels_that_do_not_go_together_are_refused(student, teacher, labels, words):
    for loss in (per_sample_loss, training_loss):
        with pytest.raises(ConfigError, match=f"some: {words}"):
            loss(METHOD, student, teacher, labels)


@pytest.mark.parametrize(
    "weights", [{"hard_weight": -0.1}, {"soft_weight": float("nan")}, {"soft_weight": float("inf")}]
)
def test_a_weight_that_is_negative_or_no_number_is_refused(weights):
    with pytest.raises(
        ConfigError, match=rf"some: {next(iter(weights))} comes to .*; a weight is finite and 0 or more"
    ):
        replace(METHOD, **weights)
