"""Every family of models becomes ONNX; what cannot is said."""

import pytest
import torch
from torch import nn

from cache_kd.errors import ModelError
from cache_kd.models import onnx_file
from cache_kd.models.normalise import KNOWN
from cache_kd.models.onnx_file import make_onnx
from cache_kd.models.zoo import build

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ONE_OF_EACH = (
    "resnet8",
    "wrn_16_1",
    "vgg8",
    "MobileNetV2",
    "ShuffleV1",
    "ShuffleV2",
    "ResNet18",
    "torchvision:resnet18",
)


def made(model, **changes):
    size = {"channels": 3, "height": 32, "width": 32}
    return make_onnx(model, KNOWN["cifar100"], **({"takes": "pixels", "about": {}, **size} | changes))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ONE_OF_EACH, "torchvision:resnet18"])
def test_a_model_of_every_family_becomes_onnx(name):
    torch.manual_seed(0)
    assert made(build(name, classes=10, channels=3).eval()).difference < 1e-5


class Erratic(nn.Module):
    """Gives other logits every time it is traced or called."""

    calls = 0

    def forward(self, images):
        Erratic.calls += 1
        return images.mean(dim=(2, 3)) + Erratic.calls


class Undecided(nn.Module):
    """Looks at its numbers before it decides, which no graph can."""

    def forward(self, images):
        return images.mean(dim=(2, 3)) if images.sum() > 0 else images.amax(dim=(2, 3))


def test_logits_that_are_not_the_models_are_refused():
    with pytest.raises(ModelError, match=r"gets other logits from this model than torch: \S+ of the largest away"):
        made(Erratic(), takes="normalised")


def test_a_model_that_cannot_be_traced_is_refused():
    with pytest.raises(ModelError, match=r"cannot be written as ONNX: .* Without --onnx only the weights"):
        made(Undecided(), takes="normalised")


def test_the_opset_that_is_named_is_the_one_that_is_written():
    import onnx

    content = made(nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 2)), takes="normalised", height=4, width=4).content
    assert onnx.load_from_string(content).opset_import[0].version == onnx_file.OPSET
