"""What is said of a model, against the model."""

import pytest
import torch

from cache_kd.errors import ModelError
from cache_kd.models.description import describe, summaries
from cache_kd.models.zoo import build, names


def test_every_model_has_a_line_with_its_parameters_and_paper():
    listed = {line.name: line for line in summaries(classes=10, channels=1)}
    assert sorted(listed) == names()
    model = build("ShuffleV2", classes=10, channels=1)
    assert listed["ShuffleV2"].parameters == sum(parameter.numel() for parameter in model.parameters())
    assert listed["ShuffleV2"].reference == "Ma et al., ECCV 2018"
    assert listed["wrn_40_2"].reference == "Zagoruyko and Komodakis, BMVC 2016"


def test_layers_are_those_that_a_picture_passes():
    details = describe("resnet8x4", classes=10, channels=3)
    assert details.layers["layer3"] == (256, 8, 8)
    assert list(details.layers)[-1] == "fc"
    assert details.layers["fc"] == (10,)
    assert details.features == 256
    larger = describe("resnet8x4", classes=10, channels=3, pictures=64)
    assert larger.layers["layer3"] == (256, 16, 16)
    assert larger.parameters == details.parameters


@pytest.mark.parametrize(("pictures", "places"), [(28, 3), (32, 4), (63, 7), (64, 4), (128, 8)])
def test_a_vgg_pools_once_more_from_64_pixels_on(pictures, places):
    layers = describe("vgg8", classes=10, channels=3, pictures=pictures).layers
    assert layers["block4"] == (512, places, places)


def test_lists_of_layers_are_shown_layer_by_layer():
    layers = describe("MobileNetV2", classes=10, channels=3).layers
    assert layers["blocks.6"] == (160, 2, 2)
    assert layers["conv2"] == (1280, 2, 2)


def test_a_librarys_model_names_its_weights_and_size():
    details = describe("torchvision:efficientnet_b1", classes=1000, channels=3)
    assert details.weights == ["IMAGENET1K_V1", "IMAGENET1K_V2"]
    assert details.pictures == 240
    assert details.features == 1280
    assert "a1_in1k" in describe("timm:resnet18.a2_in1k", classes=5, channels=3).weights


def test_logits_of_a_convolution_have_no_features():
    assert describe("torchvision:squeezenet1_1", classes=5, channels=3).features is None


def test_a_model_that_computes_its_widths_with_tensors_is_described_too():
    assert describe("torchvision:regnet_x_400mf", classes=5, channels=3).features == 400


def test_weights_tuned_at_a_larger_size_do_not_decide_what_a_fresh_model_takes():
    assert describe("torchvision:vit_h_14", classes=5, channels=3).pictures == 224


def test_a_function_from_outside_is_described_on_the_cpu(tmp_path, monkeypatch):
    (tmp_path / "described_models.py").write_text(
        "import torch\n"
        "def tiny(classes, channels):\n"
        "    layer = torch.nn.Linear(channels * 1024, classes)\n"
        "    assert layer.weight.device.type == 'cpu'\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), layer)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    details = describe("described_models:tiny", classes=4, channels=1)
    assert (details.parameters, details.features, details.layers) == (4100, 1024, {"0": (1024,), "1": (4,)})


def test_describing_draws_no_random_numbers():
    before = torch.get_rng_state()
    describe("vgg19", classes=100, channels=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_pictures_that_are_too_small_are_refused_in_words():
    with pytest.raises(ModelError, match=r"does not take pictures of 4x4 with 3 channel"):
        describe("vgg8", classes=10, channels=3, pictures=4)
