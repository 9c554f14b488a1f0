import pytest
import torch

from cache_kd.errors import ModelError
from cache_kd.store.codec import Answers, make_codec


@pytest.mark.parametrize("value", [65504.5, 65520.0, -1e6])
def test_what_would_become_infinite_is_refused(value):
    with pytest.raises(ModelError, match=r"row 1, class 0: .*float16 holds \+-65504; use --codec float32"):
        make_codec("float16").encode(Answers(torch.tensor([[0.0], [value]])))


def test_float16_by_hand():
    # 1 + 2**-11 lies halfway between two halves and goes to the even one; the bound is met exactly
    logits = torch.tensor([[1 + 2**-11, 0.5]])
    codec = make_codec("float16")
    assert codec.decode(codec.encode(Answers(logits)), 2).tolist() == [[1.0, 0.5]]
    assert codec.error_bound(Answers(logits))[0] == pytest.approx(2**-11, rel=1e-3)
