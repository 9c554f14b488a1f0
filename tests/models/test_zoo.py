"""Every model of the zoo, and names that are none."""

import hashlib

import numpy as np
import pytest
import torch

from cache_kd.errors import ConfigError, ModelError
from cache_kd.models.zoo import FAMILIES, build, family_of, names

# parameters for 100 classes and 3 channels, as the literature counts them, and a digest of the keys and shapes of the
# state dict; both read off the public benchmark code, whose state dicts load strictly
PINNED = {
    "MobileNetV2": (812_836, "da613af71c09a1df"),
    "ResNet18": (11_220_132, "f6f82589f76989e6"),
    "ResNet34": (21_328_292, "373af83e7dd653a6"),
    "ResNet50": (23_705_252, "1383964ae529a18c"),
    "ShuffleV1": (949_258, "a6a7e5aaad503399"),
    "ShuffleV2": (1_355_528, "453a84f2a0f166f6"),
    "resnet110": (1_736_564, "c6e9176cff1a7fee"),
    "resnet14": (181_108, "dc881d5570e2148d"),
    "resnet20": (278_324, "649926fcf6240e69"),
    "resnet32": (472_756, "eee1916dfc5fb1e3"),
    "resnet32x4": (7_433_860, "632a5be2e9d2198d"),
    "resnet44": (667_188, "f532b91b42661858"),
    "resnet56": (861_620, "2fac08358d132b70"),
    "resnet8": (83_892, "c7e36ff449432b48"),
    "resnet8x4": (1_233_540, "c7572c24d425e097"),
    "vgg11": (9_277_284, "c01653e99717593a"),
    "vgg13": (9_462_180, "7ff3cbdb2a68220a"),
    "vgg16": (14_774_436, "671ffc473361af0f"),
    "vgg19": (20_086_692, "68d64a6eacb282aa"),
    "vgg8": (3_965_028, "af0a4ac2401e1baa"),
    "wrn_16_1": (180_916, "c86622e01c0182ef"),
    "wrn_16_2": (703_284, "e6a57f3ddf2bbfc4"),
    "wrn_40_1": (569_780, "d0752782d5324ce6"),
    "wrn_40_2": (2_255_156, "cf299ba03b832625"),
}
# one of each shape of block, the smallest: what costs time is asked of these
SMALL = ["MobileNetV2", "ResNet18", "ResNet50", "ShuffleV1", "ShuffleV2", "resnet8", "resnet8x0.5", "vgg8", "wrn_16_1"]

# the public code's logits for the weights and the picture that `fill` and one draw more give
LOGITS = {
    "MobileNetV2": [60.145, -992.2237, -1679.7422, 1218.9325],
    "ResNet18": [-16.1276, 5.2703, -22.62, 22.7834],
    "ResNet50": [-6516.8184, 24253.082, -10158.9883, -32.5088],
    "ShuffleV1": [47.3702, -211.1158, 488.6379, 52.8512],
    "ShuffleV2": [221.2806, 307.4839, -190.5592, 60.513],
    "resnet8": [0.506, -5.9711, -0.5349, -0.3005],
    "vgg8": [6.6142, -0.448, -0.794, -3.5378],
    "wrn_16_1": [-1.0548, -14.4848, 18.711, 2.4745],
}


@pytest.mark.parametrize("name", sorted(set(names()) - {"resnet8x0.5"}))
def test_parameters_keys_and_shapes_are_those_of_the_literature(name):
    with torch.device("meta"):
        model = build(name, classes=100, channels=3)
    listing = "\n".join(f"{key} {list(value.shape)}" for key, value in sorted(model.state_dict().items()))
    digest = hashlib.sha256(listing.encode()).hexdigest()[:16]
    assert (sum(parameter.numel() for parameter in model.parameters()), digest) == PINNED[name]


def test_every_model_of_the_benchmark_is_there():
    assert set(PINNED) < set(names())


def test_every_family_has_a_small_model_among_the_thoroughly_tested():
    assert {family_of(name) is family for name in SMALL for family in FAMILIES} == {True, False}
    assert all(any(name in family.architectures for name in SMALL) for family in FAMILIES)


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [(name, 3, 32) for name in names()] + [(name, *shape) for name in SMALL for shape in ((1, 28), (3, 64))],
)
def test_every_model_takes_grey_and_colour_images_of_any_size(name, channels, size):
    with torch.device("meta"):
        model = build(name, classes=7, channels=channels).eval()
        assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)


@pytest.mark.parametrize("name", SMALL)
def test_the_gradient_reaches_every_parameter(name):
    torch.manual_seed(0)
    model = build(name, classes=5, channels=3)
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize(("name", "logits"), LOGITS.items())
def test_the_logits_of_given_weights_are_those_of_the_literature(name, logits):
    """Keys and shapes say nothing of strides, pooling, shuffles, and where an activation stands."""
    model = build(name, classes=4, channels=3).eval()
    drawn = np.random.RandomState(0)
    fill(model, drawn)
    images = torch.from_numpy(drawn.normal(size=(1, 3, 32, 32))).float()
    with torch.no_grad():
        torch.testing.assert_close(model(images)[0], torch.tensor(logits), rtol=0, atol=1e-4 * max(map(abs, logits)))


def fill(model, drawn):
    """Weights that keep the features of size 1, and statistics that are not the initial ones."""
    for key, value in sorted(model.state_dict().items()):
        if value.ndim > 1:
            new = drawn.normal(size=value.shape) * (2 / value[0].numel()) ** 0.5
        elif key.endswith(("running_var", "weight")):
            new = drawn.uniform(0.5, 1.5, size=value.shape)
        elif value.ndim == 1:
            new = 0.1 * drawn.normal(size=value.shape)
        else:
            continue
        value.copy_(torch.from_numpy(new))


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("resnet3200", r"did you mean 'resnet32'"),
        ("resnet50", r"did you mean 'ResNet50' or 'torchvision:resnet50'"),
        ("mobilenetv2", r"did you mean 'MobileNetV2'"),
        ("ShuffleNetV1", r"did you mean 'ShuffleV1'"),
        ("mobilenet_v3_small", r"did you mean 'torchvision:mobilenet_v3_small'"),
        ("zzzz", r"no model 'zzzz'; `kdcache models` lists ours"),
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest_names(name, mend):
    with pytest.raises(ModelError, match=mend):
        build(name, classes=10, channels=3)


def test_a_model_from_outside_is_a_function_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        "import torch\n"
        "def tiny(classes, channels):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(classes))\n"
        "def nothing(classes, channels):\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert build("my_models:tiny", classes=4, channels=1)(torch.zeros(2, 1, 3, 3)).shape == (2, 4)
    with pytest.raises(ModelError, match="returned int; expected a torch"):
        build("my_models:nothing", classes=4, channels=1)
    with pytest.raises(ConfigError, match="has no function 'huge'"):
        build("my_models:huge", classes=4, channels=1)
    with pytest.raises(ConfigError, match="does not import"):
        build("no_such_module:tiny", classes=4, channels=1)
