"""How soft each side is, and what the loss gets back for it."""

import math

import pytest
import torch

from cache_kd.distill.temperature import Constant, standard_deviation, standardised, without_gain

STUDENT = torch.tensor([[1.0, -1.0], [4.0, 0.0]]).double()
TEACHER = torch.tensor([[0.0, 0.0], [3.0, -3.0]]).double()
LABELS = torch.tensor([0, 1])


def test_a_constant_is_one_number_in_the_students_type():
    tau = Constant(4.0)(STUDENT, TEACHER, LABELS)
    assert tau.student.shape == tau.teacher.shape == (1, 1)
    assert (tau.student.item(), tau.teacher.item(), tau.gain.item()) == (4.0, 4.0, 16.0)
    assert tau.student.dtype == torch.float64


def test_standardisation_divides_by_each_sides_own_deviation():
    tau = standardised(2.0)(STUDENT, TEACHER, LABELS)
    # one degree of freedom is lost, so the deviation of (1, -1) is sqrt 2; 1e-7 is the authors' epsilon
    assert tau.student.flatten().tolist() == pytest.approx([2 * math.sqrt(2), 4 * math.sqrt(2)], rel=1e-6)
    assert tau.teacher.flatten().tolist() == pytest.approx([2e-7, 6 * math.sqrt(2)], rel=1e-6)
    assert tau.gain.item() == 4.0


def test_the_gain_can_be_left_out():
    tau = without_gain(Constant(4.0))(STUDENT, TEACHER, LABELS)
    assert (tau.student.item(), tau.gain.item()) == (4.0, 1.0)


def test_the_standard_deviation_is_torchs_and_its_gradient_too():
    logits = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).double()
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    standard_deviation(ours).sum().backward()
    theirs.std(dim=-1, keepdim=True).sum().backward()
    torch.testing.assert_close(standard_deviation(logits), logits.std(dim=-1, keepdim=True))
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_constant_row_has_no_deviation_and_no_gradient():
    logits = torch.full((1, 5), 3.0, requires_grad=True)
    standard_deviation(logits).sum().backward()
    assert standard_deviation(logits).item() < 1e-18
    assert torch.equal(logits.grad, torch.zeros(1, 5))
