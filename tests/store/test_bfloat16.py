import numpy as np
import pytest
import torch

from cache_kd.errors import ModelError
from cache_kd.store.codec import Answers, make_codec

CODEC = make_codec("bfloat16")


def test_bfloat16_by_hand():
    # 1 + 2**-8 lies halfway between two of them and goes to the even one; the bound is met exactly
    logits = torch.tensor([[1 + 2**-8, -0.5]])
    assert CODEC.decode(CODEC.encode(Answers(logits)), 2).tolist() == [[1.0, -0.5]]
    assert CODEC.error_bound(Answers(logits))[0] == pytest.approx(2**-8, rel=5e-3)


def test_the_bits_are_the_upper_half_of_a_float32():
    assert CODEC.encode(Answers(torch.tensor([[1.0, -2.0]])))["bits"].tolist() == [[0x3F80, 0xC000]]


def test_what_a_bf16_teacher_gives_comes_back_exactly():
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16).float()
    assert np.array_equal(CODEC.decode(CODEC.encode(Answers(logits)), 7), logits.numpy())


@pytest.mark.parametrize("value", [3.395e38, -3.4e38])
def test_what_would_become_infinite_is_refused(value):
    with pytest.raises(ModelError, match=r"row 1, class 0: .*bfloat16 holds \+-3.39e\+38; use --codec float32"):
        CODEC.encode(Answers(torch.tensor([[0.0], [value]])))
