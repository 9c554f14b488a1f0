"""Several teachers as one."""

import math

import pytest
import torch

from cache_kd.distill.fold import fold

SURE = torch.tensor([[0.9, 0.1], [0.5, 0.5]]).log()
UNSURE = torch.tensor([[0.5, 0.5], [0.2, 0.8]]).log()
TEACHERS = torch.stack([SURE + 3.0, UNSURE - 7.0])  # no softmax sees a row's mean


def test_mean_of_probabilities():
    folded = fold(TEACHERS, "mean_probabilities", (1.0, 1.0)).softmax(-1)
    torch.testing.assert_close(folded, torch.tensor([[0.7, 0.3], [0.35, 0.65]]))
    weighted = fold(TEACHERS, "mean_probabilities", (3.0, 1.0)).softmax(-1)
    torch.testing.assert_close(weighted[0], torch.tensor([0.8, 0.2]))


def test_mean_of_logits_is_the_geometric_mean_of_probabilities():
    folded = fold(TEACHERS, "mean_logits", (1.0, 1.0)).softmax(-1)
    odds = math.sqrt(9)
    torch.testing.assert_close(folded[0], torch.tensor([odds / (1 + odds), 1 / (1 + odds)]))
    torch.testing.assert_close(fold(TEACHERS, "mean_logits", (1.0, 1.0)).mean(-1), torch.zeros(2))


def test_one_drawn_is_that_one():
    assert torch.equal(fold(TEACHERS, "draw", (1.0, 1.0), chosen=1), TEACHERS[1])


@pytest.mark.parametrize("how", ["mean_probabilities", "mean_logits"])
def test_two_equal_teachers_are_one(how):
    twice = fold(torch.stack([SURE, SURE]), how, (1.0, 2.0))
    torch.testing.assert_close(twice.softmax(-1), SURE.softmax(-1))


def test_confident_teachers_that_disagree_stay_finite():
    opposed = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]])
    torch.testing.assert_close(fold(opposed, "mean_probabilities", (1.0, 1.0)).softmax(-1), torch.tensor([[0.5, 0.5]]))
