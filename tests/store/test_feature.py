"""The features of a row, from which its logits are computed again."""

import pytest
import torch

from cache_kd.errors import ConfigError
from cache_kd.store.codec import Answers, LastLayer, make_codec


def _answers(rows: int = 100, features: int = 24, classes: int = 300) -> Answers:
    generator = torch.Generator().manual_seed(0)
    layer = LastLayer(
        torch.randn(rows, features, generator=generator).relu(),
        torch.randn(classes, features, generator=generator),
        torch.randn(classes, generator=generator),
    )
    return Answers(torch.addmm(layer.bias, layer.features, layer.weight.T), None, layer)


def _ready(spec, answers: Answers):
    assert answers.last_layer is not None
    codec = make_codec(spec).resolved(classes=300, features=answers.last_layer.features.shape[1])
    return codec.equipped(codec.fit(answers))


def test_the_logits_come_back_up_to_the_rounding_of_one_product():
    answers = _answers()
    codec = _ready("feature", answers)
    stored = torch.from_numpy(codec.decode(codec.encode(answers), 300))
    in_float64 = answers.last_layer.features.double() @ answers.last_layer.weight.double().T
    in_float64 += answers.last_layer.bias.double()
    assert (stored - in_float64).abs().max() < 1e-5
    assert codec.error_bound(answers).max() < 3e-4
    assert codec.bytes_per_row(300) == 4 * 24


def test_half_precision_takes_half_and_stays_within_its_bound():
    answers = _answers()
    codec = _ready({"name": "feature", "precision": "float16"}, answers)
    error = torch.from_numpy(codec.decode(codec.encode(answers), 300)) - answers.logits
    assert (error.abs().amax(dim=1).numpy() <= codec.error_bound(answers)).all()
    assert error.abs().max() > 1e-4
    assert codec.bytes_per_row(300) == 2 * 24


def test_the_size_is_known_with_the_teacher():
    with pytest.raises(ConfigError, match="no size before a teacher is known"):
        make_codec("feature").arrays(10)
    assert make_codec("feature").resolved(classes=10, features=512).bytes_per_row(10) == 2048


def test_another_number_of_features_than_the_teacher_has_is_refused():
    with pytest.raises(ConfigError, match=r"asked to keep 64 features; .* is given 512"):
        make_codec({"name": "feature", "features": 64}).resolved(classes=10, features=512)


def test_features_that_float16_cannot_hold_are_refused():
    answers = _answers()
    answers.last_layer.features[3, 5] = 1e5
    with pytest.raises(ConfigError, match=r"a feature is 1e\+05; float16 holds"):
        _ready({"name": "feature", "precision": "float16"}, answers).encode(answers)
