"""How good a model is: top-1, agreement with the teacher, calibration."""

from collections.abc import Iterable

import torch
from torch import nn

from cache_kd.config import Config
from cache_kd.device import TrainPrecision, computing
from cache_kd.models.normalise import Normalise
from cache_kd.types import Labels, LogitArray, Logits, ViewTensor

BINS = 15  # of equal width, as in Guo et al., On Calibration of Modern Neural Networks, 2017


class Reliability(Config):
    """How sure a model is against how often it is right, bin by bin of confidence; an empty bin has 0 everywhere."""

    samples: tuple[int, ...]
    confidence: tuple[float, ...]  # mean of the bin's samples
    accuracy: tuple[float, ...]  # share of them that is right


class Evaluation(Config):
    """Figures over one split; shares are between 0 and 1."""

    samples: int
    accuracy: float
    cross_entropy: float  # nats, mean
    calibration_error: float  # expected calibration error
    agreement: float | None  # share of samples where teacher and student name the same class
    reliability: Reliability


def predict(
    model: nn.Module,
    normalise: Normalise,
    pictures: Iterable[ViewTensor],
    *,
    device: torch.device,
    precision: TrainPrecision,
    channels_last: bool,
) -> Logits:
    """Float32 logits of all `pictures` on the CPU, in order; the model is in eval mode meanwhile.

    Args:
        model: gives the logits.
        normalise: what stands before it.
        pictures: batches of uint8 pixels.
        device: where the model is.
        precision: of its forward pass.
        channels_last: how its images lie in memory, as in its training.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), computing(device, precision):
            images = (normalise(pixels.to(device), channels_last=channels_last) for pixels in pictures)
            logits = [model(of_batch).float().cpu() for of_batch in images]
    finally:
        model.train(was_training)
    return torch.cat(logits)


def evaluate(logits: Logits, labels: Labels, teacher: LogitArray | None) -> Evaluation:
    """Compare `logits` with `labels`, and with the `teacher`'s logits of the same samples where there are any."""
    named = logits.argmax(1)
    agreement = None if teacher is None else share(named == torch.from_numpy(teacher).argmax(1))
    return Evaluation(
        samples=len(labels),
        accuracy=share(named == labels),
        cross_entropy=torch.nn.functional.cross_entropy(logits, labels).item(),
        calibration_error=calibration_error(logits, labels),
        agreement=agreement,
        reliability=reliability(logits, labels),
    )


def calibration_error(logits: Logits, labels: Labels) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over 15 bins of confidence, by bin size.

    >>> calibration_error(torch.tensor([[20.0, -20.0], [20.0, -20.0]]), torch.tensor([0, 1]))
    0.5
    """
    bins = reliability(logits, labels)
    rows = zip(bins.samples, bins.confidence, bins.accuracy, strict=True)
    return sum(samples * abs(confidence - accuracy) for samples, confidence, accuracy in rows) / len(labels)


def reliability(logits: Logits, labels: Labels) -> Reliability:
    """Confidence and accuracy over 15 bins of confidence.

    >>> reliability(torch.tensor([[20.0, -20.0], [20.0, -20.0]]), torch.tensor([0, 1])).accuracy[-1]
    0.5
    """
    confidence, named = logits.softmax(1).max(1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    samples = torch.bincount(bins, minlength=BINS)
    sums = torch.zeros(2, BINS, dtype=torch.float64)
    sums.index_add_(1, bins, torch.stack([confidence, named == labels]).double())
    means = sums / samples.clamp(min=1)
    return Reliability(
        samples=tuple(samples.tolist()), confidence=tuple(means[0].tolist()), accuracy=tuple(means[1].tolist())
    )


def share(hits: torch.Tensor) -> float:
    """The share of true entries, 0 to 1."""
    return hits.float().mean().item()
