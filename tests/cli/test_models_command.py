"""`kdcache models`: the list, one in full, the libraries, and names that are none."""

import json
import re

import pytest

from cache_kd.models.zoo import names


def test_the_list_holds_every_model(kdcache, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = kdcache("models")
    assert code == 0
    assert all(re.search(rf"│ {re.escape(name)} +│", out) for name in names())
    assert "1,233,540 │ ResNet, three stages" in out


def test_the_list_is_there_for_scripts(kdcache):
    listed = {entry["name"]: entry for entry in json.loads(kdcache("models", "--json", "--classes", 10)[1])}
    assert sorted(listed) == names()
    assert listed["resnet8x4"]["parameters"] == 1_233_540 - 90 * 257
    assert listed["vgg13"]["paper"].startswith("Simonyan and Zisserman, Very Deep")


def test_one_model_in_full(kdcache):
    code, out, _ = kdcache("models", "resnet8x4", "--classes", 10)
    assert code == 0
    for line in (
        "resnet8x4: ResNet, three stages; He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
        "1,210,410 parameters for 10 classes and 3 channel(s)",
        "Features before the classifier: 256",
        "256 x 8 x 8",
        "kdcache dump --teacher resnet8x4 --checkpoint FILE --normalise cifar100",
    ):
        assert line in out
    shown = json.loads(kdcache("models", "resnet8x4", "--size", 64, "--json")[1])
    assert shown["layers"]["layer3"] == [256, 16, 16]


def test_a_librarys_model_says_which_weights_there_are(kdcache):
    out = kdcache("models", "torchvision:resnet50")[1]
    assert "Published weights: IMAGENET1K_V1, IMAGENET1K_V2" in out
    assert "--teacher torchvision:resnet50 --checkpoint default" in out


@pytest.mark.parametrize(
    ("library", "name", "weights"),
    [("torchvision:", "torchvision:resnet50", "IMAGENET1K_V2"), ("timm:", "timm:resnet50", "a1_in1k")],
)
def test_a_librarys_models_are_listed_with_their_weights(kdcache, library, name, weights):
    assert weights in json.loads(kdcache("models", library, "--json")[1])[name]
    assert name in kdcache("models", library)[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet32x5", "did you mean 'resnet32x4'"),
        ("resnet50", "'ResNet50' or 'torchvision:resnet50'"),
        ("torchvision:resnet5", "did you mean 'resnet50'"),
        ("timm:resnet5", "did you mean 'resnet50'"),
    ],
)
def test_a_name_that_is_none_is_answered_with_the_nearest(kdcache, name, words):
    code, out, err = kdcache("models", name)
    assert code == 1
    assert words in err
    assert "Traceback" not in out + err
