"""A student that cannot train is refused in a sentence, before there is a run folder."""

import pytest
import torch
from torch import nn

from cache_kd.errors import ConfigError, ModelError
from cache_kd.train import TrainConfig, train
from cache_kd.trial import demand_logits, demand_training

IMAGES = torch.zeros(2, 1, 28, 28)


def one_pixel(classes: int, channels: int = 1) -> nn.Module:
    """Its batch norm sees one value of each channel and sample."""
    return nn.Sequential(nn.Conv2d(channels, 4, 28), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))


def wide(classes: int, channels: int = 1) -> nn.Module:
    """Its batch norm sees a map."""
    return nn.Sequential(nn.Conv2d(channels, 4, 14), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(900, classes))


def seven(classes: int, channels: int = 1) -> nn.Module:
    del classes
    return nn.Sequential(nn.Flatten(), nn.Linear(784 * channels, 7))


def tied(classes: int, channels: int = 1) -> nn.Module:
    first, second = nn.Linear(784 * channels, 784), nn.Linear(784, 784)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, second, nn.Linear(784, classes))


def too_deep(classes: int, channels: int = 1) -> nn.Module:
    """For larger pictures."""
    return nn.Sequential(nn.Conv2d(channels, 4, 32), nn.Flatten(), nn.Linear(4, classes))


class Pair(nn.Module):
    """Two classifiers while it trains, as googlenet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return (logits, logits) if self.training else logits


def pair(classes: int, channels: int = 1) -> nn.Module:
    del classes, channels
    return Pair()


def config(out, store, **changes) -> TrainConfig:
    knobs = {"student": "resnet8x0.5", "out": out, "store": store, "method": "kd", "epochs": 1, "device": "cpu"}
    return TrainConfig(**(knobs | changes))


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (too_deep, r"too_deep cannot be given images of 28x28 in evaluation mode \(RuntimeError: .*Take a student"),
        (pair, r"pair gives a tuple for 2 images in training mode; expected a tensor \[2, 10\]"),
        (seven, r"seven gives a tensor \[2, 7\] for 2 images in evaluation mode; expected a tensor \[2, 10\]"),
        (tied, r"tied has one tensor under several names, 1\.weight, 2\.weight, .* a tensor of its own"),
    ],
)
@pytest.mark.parametrize("method", [None, "dhkd"])
def test_a_student_that_cannot_train_is_refused_before_there_is_a_run(stores, tmp_path, student, said, method):
    with pytest.raises(ModelError, match=said):
        train(config(tmp_path / "run", stores["float16"], student=f"{__name__}:{student.__name__}", method=method))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 511, "student": f"{__name__}:one_pixel"},
        {"batch_size": 32, "accumulate": 32, "student": f"{__name__}:one_pixel"},
        {"batch_size": 511, "method": "dhkd"},  # whose second head has a batch norm over the features
    ],
)
def test_a_batch_of_one_sample_is_refused_where_a_batch_norm_would_see_one_value(stores, tmp_path, changes):
    with pytest.raises(ConfigError, match=r"has one sample only, and a batch norm of .* Pass another --batch-size"):
        train(config(tmp_path / "run", stores["float16"], **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 511, "student": f"{__name__}:wide"},
        {"batch_size": 511, "student": f"{__name__}:one_pixel", "views_per_batch": 2},
        {"batch_size": 510, "student": f"{__name__}:one_pixel"},
    ],
)
def test_a_batch_of_one_sample_trains_where_its_batch_norms_see_more(stores, tmp_path, changes):
    train(config(tmp_path / "run", stores["float16"], **changes))


def test_a_trial_leaves_the_student_and_the_random_numbers_as_they_were():
    student = nn.Sequential(
        nn.Conv2d(1, 4, 14),
        nn.BatchNorm2d(4),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 4, 3)),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(676, 10),
    )
    student[1].eval()
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    random = torch.get_rng_state()
    demand_logits(student, "student", IMAGES, 10)
    demand_training(student, student, "student", [IMAGES], 10, fewest=2)
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert [module.training for module in student] == [True, False, True, True, True, True]
    assert all(parameter.requires_grad and parameter.grad is None for parameter in student.parameters())
