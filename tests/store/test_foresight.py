"""The guess that orders a rest: right where the largest tell it, and the same whole numbers everywhere."""

from types import SimpleNamespace

import torch

from cache_kd.store.foresight import RIDGE, falling, fit_foresight, foresee, ridge
from cache_kd.store.principal import principal_directions


def test_a_class_that_goes_with_another_is_foreseen_from_it():
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(10, (400,), generator=generator)
    logits = 0.3 * torch.randn(400, 20, generator=generator)
    rows = torch.arange(400)
    logits[rows, chosen] += 8
    logits[rows, chosen + 10] += 3  # the companion of each class
    ticks = torch.zeros(400, 20).scatter_(1, chosen[:, None], 100.0)
    parameters = fit_foresight(ticks, logits)
    scores = foresee(ticks, *(parameters[name].float() for name in ("into", "out", "offset", "shares")))
    scores[rows, chosen] = -(2**15) + 1
    assert (falling(scores)[:, 0] == chosen + 10).all()


def test_scores_are_the_same_whole_numbers_in_any_order_of_addition():
    generator = torch.Generator().manual_seed(0)
    ticks = torch.randint(256, (50, 90), generator=generator).float()
    parameters = fit_foresight(ticks, torch.randn(50, 90, generator=generator))
    words = [parameters[name].float() for name in ("into", "out", "offset", "shares")]
    order = torch.randperm(90, generator=generator)
    assert torch.equal(foresee(ticks, *words), foresee(ticks[:, order], words[0][order], *words[1:]))
    in_float64 = foresee(ticks.double(), *(word.double() for word in words))
    assert torch.equal(foresee(ticks, *words), in_float64)


def test_equal_scores_leave_the_lower_class_first():
    scores = torch.tensor([[1, 5, 1, 5, -3]], dtype=torch.int16)
    assert falling(scores).tolist() == [[1, 3, 0, 2, 4]]


def test_ridge_is_the_same_by_rows_and_by_columns():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 9, generator=generator).double()
    targets = torch.randn(6, 2, generator=generator).double()
    damping = RIDGE * inputs.square().sum() / 9 + 1e-3
    by_columns = torch.linalg.solve(inputs.T @ inputs + damping * torch.eye(9).double(), inputs.T @ targets)
    torch.testing.assert_close(ridge(inputs, targets), by_columns)


def test_a_principal_direction_points_one_way_whoever_computed_it(monkeypatch):
    rows = torch.randn(60, 8, generator=torch.Generator().manual_seed(3))
    before = principal_directions(rows, 3)
    solve = torch.linalg.eigh
    flipped = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    monkeypatch.setattr(
        torch.linalg, "eigh", lambda matrix: SimpleNamespace(eigenvectors=solve(matrix).eigenvectors * flipped)
    )
    assert torch.equal(principal_directions(rows, 3).basis, before.basis)


def test_principal_directions_are_those_of_the_singular_values_for_many_and_for_few_rows():
    for shape in ((40, 12), (8, 30)):
        rows = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        mean, basis = principal_directions(rows, 4)
        _, _, directions = torch.linalg.svd((rows - rows.mean(0)).double())
        torch.testing.assert_close(mean, rows.mean(0))
        overlap = (basis.double() @ directions[:4].T).abs()
        torch.testing.assert_close(overlap, torch.eye(4).double(), atol=1e-5, rtol=0)
