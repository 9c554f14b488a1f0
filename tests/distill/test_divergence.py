"""Distances between softened logits, on numbers that can be checked by hand and on ones that overflow."""

import math

import pytest
import torch

from cache_kd.distill.divergence import cross_entropy, kl, kl_of_others, kl_without, one_against_rest

LABELS = torch.tensor([0])
EVEN = torch.zeros(1, 2)
THREE_TO_ONE = torch.tensor([[math.log(3), 0.0]])


def test_kl_is_that_of_the_teacher_from_the_student():
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert kl(EVEN, THREE_TO_ONE, LABELS).item() == pytest.approx(expected)
    reverse = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert kl(THREE_TO_ONE, EVEN, LABELS).item() == pytest.approx(reverse)


def test_cross_entropy_is_kl_plus_the_teachers_entropy():
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    expected = kl(EVEN, THREE_TO_ONE, LABELS).item() + entropy
    assert cross_entropy(EVEN, THREE_TO_ONE, LABELS).item() == pytest.approx(expected)


def test_kl_without_some_classes_does_not_see_them():
    left_out = torch.tensor([[False, True, False]])
    student, teacher = torch.tensor([[0.0, 1e4, 0.0]]), torch.tensor([[math.log(3), -7.0, 0.0]])
    torch.testing.assert_close(kl_without(left_out, student, teacher, LABELS), kl(EVEN, THREE_TO_ONE, LABELS))
    torch.testing.assert_close(kl_of_others(student, teacher, torch.tensor([1])), kl(EVEN, THREE_TO_ONE, LABELS))


@pytest.mark.parametrize("left_out", [[[True] * 3], [[False, True, True]]], ids=["none", "one"])
@pytest.mark.parametrize("size", [1.0, 1e4, 1e30])
def test_kl_over_none_or_one_class_is_zero(left_out, size):
    student = (size * torch.tensor([[1.0, -1.0, 0.5]])).requires_grad_()
    loss = kl_without(torch.tensor(left_out), student, -student.detach(), LABELS)
    loss.sum().backward()
    assert loss.item() == 0
    assert student.grad.abs().max() < 1e-7  # three times a third is 1 up to rounding


def test_one_against_rest_is_a_problem_with_two_classes():
    logits = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]]).log() + 7
    expected = torch.tensor([[0.6, 0.4], [0.1, 0.9]])
    torch.testing.assert_close(one_against_rest(logits, torch.tensor([0, 2])).softmax(-1), expected)


def test_one_against_rest_stays_finite_where_probabilities_round_to_one():
    logits = torch.tensor([[1e4, 0.0, 0.0]])
    assert one_against_rest(logits, torch.tensor([0])).tolist() == [[1e4, pytest.approx(math.log(2))]]
    assert one_against_rest(logits, torch.tensor([1])).tolist() == [[0.0, 1e4]]


@pytest.mark.parametrize("divergence", [kl, cross_entropy])
def test_saturated_opposites_cost_their_distance_and_no_more(divergence):
    student, teacher = torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]])
    assert divergence(student, teacher, LABELS).item() == pytest.approx(1e4)
