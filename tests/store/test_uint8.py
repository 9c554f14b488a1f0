import numpy as np
import pytest
import torch

from cache_kd.errors import ConfigError, ModelError
from cache_kd.store.codec import Answers, make_codec

every_spacing = pytest.mark.parametrize("top_step", [1.0, 0.25, 0.01])


def uint8(top_step=1.0):
    return make_codec({"name": "uint8", "top_step": top_step})


def decoded(codec, logits):
    return codec.decode(codec.encode(Answers(logits)), logits.shape[1])


def confident(rows=200, classes=100):
    """Logits as a classifier of 100 classes gives them: spread 3, one class far above the others."""
    logits = 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(1))
    logits[:, 7] += 12
    return logits


def test_uint8_by_hand():
    # a range of 255 makes steps of 1, counted from the top; the code of 200.6 is 54.4 rounded
    encoded = uint8().encode(Answers(torch.tensor([[0.0, 255.0, 200.6]])))
    assert encoded["codes"].tolist() == [[255, 0, 54]]
    assert encoded["extremes"].tolist() == [[0.0, 255.0]]
    assert uint8().decode(encoded, 3)[0] == pytest.approx([0, 255, 201], rel=1e-6)


def test_companded_steps_by_hand():
    # 255 below the top in all; the first step is 0.25 + 0.75 / 255, the last one 1.75 - 0.75 / 255
    codes = np.array([[0, 1, 254, 255]], dtype=np.uint8)
    levels = uint8(0.25).decode({"codes": codes, "extremes": np.array([[-255, 0]], dtype=np.float32)}, 4)[0]
    assert np.diff(levels)[[0, 2]] == pytest.approx([-0.252941, -1.747059], rel=1e-4)
    assert np.array_equal(uint8(0.25).encode(Answers(torch.from_numpy(levels[None])))["codes"], codes)


@every_spacing
def test_a_rows_extremes_and_constant_rows_come_back_exactly(top_step):
    logits = confident()
    logits[3] = 0.1
    logits[4] *= 1e-42  # below the smallest normal float32
    logits[5] *= 1e36
    back = torch.from_numpy(decoded(uint8(top_step), logits))
    assert torch.equal(back.amax(1), logits.amax(1))
    assert torch.equal(back.amin(1), logits.amin(1))
    assert torch.equal(back[3], logits[3])


@every_spacing
def test_the_bound_is_nearly_reached(top_step):
    """A bound that is never come near says nothing."""
    logits = torch.linspace(0, 1, 100_000)[None]
    off = np.abs(decoded(uint8(top_step), logits) - logits.numpy()).max()
    assert off == pytest.approx((2 - top_step) / 510, rel=0.01)
    assert off <= uint8(top_step).error_bound(Answers(logits))[0] < 1.01 * off


def test_neighbours_of_the_top_are_finer_where_companded():
    logits = confident()
    near = logits > logits.amax(1, keepdim=True) - 3
    off = {step: np.abs(decoded(uint8(step), logits) - logits.numpy())[near.numpy()].mean() for step in (1.0, 0.25)}
    assert 0.25 * off[1.0] < off[0.25] < 0.7 * off[1.0]


def test_a_row_that_a_float32_cannot_span_is_refused():
    with pytest.raises(ModelError, match=r"row 0, class 1: .*at most \+-8.5e\+37; use --codec float32"):
        uint8().encode(Answers(torch.tensor([[-1.0, 1e38]])))


@pytest.mark.parametrize("top_step", [0, 1.5])
def test_a_top_step_that_is_no_share_is_refused(top_step):
    with pytest.raises(ConfigError, match="codec uint8: top_step"):
        uint8(top_step)
