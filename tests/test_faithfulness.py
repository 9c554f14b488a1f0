"""The angle between the gradients of stored and exact logits, for every method."""

import pytest
import torch

from cache_kd.distill import needs_of
from cache_kd.errors import ConfigError
from cache_kd.faithfulness import gradient_cosine
from cache_kd.methods import make_method, names
from cache_kd.store.codec import Answers, make_codec

ROWS, CLASSES = 256, 100


@pytest.fixture(scope="module")
def answers() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2.5 * torch.randn(ROWS, CLASSES, generator=generator)
    labels = torch.randint(CLASSES, (ROWS,), generator=generator)
    logits[torch.arange(ROWS), labels] += 8
    return logits, labels


@pytest.mark.parametrize("name", names())
def test_exact_logits_give_the_exact_gradient(name, answers):
    exact, labels = answers
    assert gradient_cosine(make_method(name), exact, exact.clone(), labels) == 1


@pytest.mark.parametrize("name", [name for name in names() if needs_of(make_method(name)).teacher])
def test_logits_of_other_rows_turn_the_gradient_of_every_method_that_asks_a_teacher(name, answers):
    # the two TTM compare an unsoftened student with a softened teacher, so theirs is mostly the student's: 0.998
    exact, labels = answers
    assert gradient_cosine(make_method(name), exact, exact.roll(1, 0), labels) < 0.999


def test_a_method_that_asks_no_teacher_loses_nothing(answers):
    exact, labels = answers
    assert gradient_cosine(make_method("uskd"), exact, exact.roll(1, 0), labels) == 1


def test_the_gradient_of_logits_that_are_compared_squared_turns_by_the_angle_of_their_errors():
    # mse pulls by student - teacher: with stored = 2 student - exact it is exactly reversed, with a half as long
    # an error it is unturned; the student is the same in all three
    exact = torch.tensor([[1.0, -1.0, 0.5, 0.0]]).repeat(128, 1)
    labels = torch.zeros(128, dtype=torch.int64)
    method = make_method("mse")
    student = _student_of(exact)
    assert gradient_cosine(method, exact, 2 * student - exact, labels) == pytest.approx(-1, abs=1e-5)
    assert gradient_cosine(method, exact, (student + exact) / 2, labels) == pytest.approx(1, abs=1e-5)


def test_fewer_bits_turn_the_gradient_further(answers):
    exact, labels = answers
    codecs = ["float16", "uint8", {"name": "packed", "bits": 6}, {"name": "packed", "bits": 4}]
    cosines = []
    for spec in codecs:
        codec = make_codec(spec)
        stored = torch.from_numpy(codec.decode(codec.encode(Answers(exact)), CLASSES))
        cosines.append(gradient_cosine(make_method("kd"), exact, stored, labels))
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] > 0.99999 > cosines[-1] > 0.95


def test_two_views_of_a_sample_need_two_rows():
    one = torch.randn(1, 5)
    with pytest.raises(ConfigError, match="mlld takes 2 views"):
        gradient_cosine(make_method("mlld"), one, one, torch.tensor([0]))


def _student_of(exact: torch.Tensor) -> torch.Tensor:
    from cache_kd.faithfulness import _student

    return _student(exact)
