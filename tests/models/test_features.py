"""The features before the classifier, whatever the model."""

import pytest
import torch
from torch import nn

from cache_kd.errors import ModelError
from cache_kd.models.features import Penultimate
from cache_kd.models.zoo import build

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "size"), [("resnet8", 64), ("wrn_16_1", 64), ("torchvision:mobilenet_v3_small", 1024)]
)
def test_the_classifier_of_its_features_gives_the_logits(name, size):
    model = build(name, classes=7, channels=3)
    penultimate = Penultimate(model, IMAGES)
    assert penultimate.size == size
    model.eval()
    logits = model(IMAGES)
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    assert penultimate.features.requires_grad
    torch.testing.assert_close(last(penultimate.features), logits)


def test_looking_for_it_changes_no_statistics_and_no_mode():
    model = build("resnet8", classes=7, channels=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Penultimate(model, IMAGES)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_logits_that_are_no_linear_layers_output_are_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5), nn.Tanh())
    with pytest.raises(ModelError, match=r"not the output of a torch\.nn\.Linear"):
        Penultimate(model, IMAGES)
