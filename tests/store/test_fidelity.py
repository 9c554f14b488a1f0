import pytest
import torch

from cache_kd.store.fidelity import exact_rows, measure_fidelity


def test_equal_rows_cost_nothing():
    logits = torch.randn(50, 10)
    found = measure_fidelity(logits, logits)
    assert found.kl == {1: 0, 2: 0, 4: 0}
    assert (found.top1, found.largest_error, found.std_error, found.rows) == (1, 0, 0, 50)


def test_fidelity_by_hand():
    exact, stored = torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    found = measure_fidelity(exact, stored, temperatures=(1,))
    # KL of sigmoid(2) against sigmoid(-2) is 2 (2 sigmoid(2) - 1), and one row of two has it
    assert found.kl == {1: pytest.approx(2 * torch.tensor(2.0).sigmoid().item() - 1)}
    assert (found.top1, found.largest_error, found.std_error) == (0.5, 2, 0)
    assert str(found) == "KL 7.6e-01 at T=1; top-1 kept in 50.00 % of 2 rows"


def test_a_shifted_row_costs_nothing_but_its_error():
    logits = torch.randn(20, 10).double()
    found = measure_fidelity(logits, logits + 3)
    assert max(found.kl.values()) < 1e-12
    assert found.largest_error == pytest.approx(3)


@pytest.mark.parametrize(
    ("rows", "classes", "kept"), [(8192, 1000, 1024), (8192, 21_841, 48), (64, 10, 64), (5, 10**7, 1)]
)
def test_exact_rows_take_a_few_megabytes(rows, classes, kept):
    assert exact_rows(rows, classes) == kept
