import numpy as np
import pytest
import torch

from cache_kd.evaluate import BINS, calibration_error, evaluate, reliability


def test_accuracy_and_agreement_are_shares():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]])
    labels = torch.tensor([0, 1, 1, 1])
    teacher = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
    figures = evaluate(logits, labels, teacher)
    assert figures.accuracy == 0.75
    assert figures.agreement == 0.75
    assert evaluate(logits, labels, None).agreement is None


def test_a_model_as_sure_as_it_is_right_is_calibrated():
    """Half sure on two classes, right on half of them."""
    logits = torch.zeros(100, 2)
    labels = torch.arange(100) % 2
    assert calibration_error(logits, labels) == pytest.approx(0.0, abs=1e-6)
    sure = torch.tensor([[50.0, 0.0]]).repeat(100, 1)
    assert calibration_error(sure, labels) == pytest.approx(0.5, abs=1e-6)


def test_a_reliability_bin_holds_its_samples_their_confidence_and_how_often_they_are_right():
    """Two samples at confidence 0.6 (bin 9 of 15), one of them right; one at 0.99 (the last bin), right."""
    logits = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.99, 0.01]]).log()
    bins = reliability(logits, torch.tensor([0, 1, 0]))
    assert [number for number, samples in enumerate(bins.samples) if samples] == [9, BINS - 1]
    assert (bins.samples[9], bins.accuracy[9]) == (2, 0.5)
    assert bins.confidence[9] == pytest.approx(0.6)
    assert (bins.samples[-1], bins.accuracy[-1]) == (1, 1.0)
    assert bins.confidence[-1] == pytest.approx(0.99)
