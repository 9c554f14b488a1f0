import pytest
import torch

from cache_kd.distill import compose
from cache_kd.methods import make_method
from cache_kd.temperatures import QUANTILES, temperatures_of

LABELS = torch.arange(40) % 10


def logits(spread: float) -> torch.Tensor:
    return spread * torch.randn(40, 10, generator=torch.Generator().manual_seed(0))


def test_a_constant_temperature_is_every_quantile():
    assert temperatures_of(make_method("kd", tau=4.0), logits(1), logits(2), LABELS)["tau"] == [[4.0] * 5]


def test_a_temperature_by_sample_has_the_quantiles_of_its_samples():
    """NormKD's is its factor times the deviation of each sample's logits."""
    method = compose(make_method("dkd"), refine=None, temperature=make_method("normkd"))
    teacher = logits(3)
    found = temperatures_of(method, logits(1), teacher, LABELS)["tau"]
    by_hand = method.terms[0].temperature(logits(1), teacher, LABELS).teacher.squeeze(1)
    assert len(found) == len(method.terms)
    assert found[0] == pytest.approx(by_hand.quantile(torch.tensor(QUANTILES)).tolist())
    assert found[0][0] < found[0][-1]


def test_plain_cross_entropy_has_no_temperature():
    assert temperatures_of(None, logits(1), None, LABELS) == {}


def test_mixed_labels_and_narrow_logits_are_taken():
    mixed = torch.eye(10)[LABELS]
    found = temperatures_of(make_method("normkd"), logits(1).half(), logits(2).half(), mixed)["tau"]
    assert all(tau > 0 for tau in found[0])
