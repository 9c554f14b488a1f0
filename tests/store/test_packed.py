import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.errors import ConfigError
from cache_kd.store.bitpack import pack, packed_width, unpack
from cache_kd.store.codec import Answers, make_codec


def packed(**knobs):
    return make_codec({"name": "packed", **knobs})


def logits_of(classes, rows=20):
    return 3 * torch.randn(rows, classes, generator=torch.Generator().manual_seed(2))


@given(bits=st.integers(1, 8), classes=st.integers(1, 40), seed=st.integers(0, 99))
def test_packing_loses_no_code_and_no_byte(bits, classes, seed):
    codes = torch.randint(0, 2**bits, (3, classes), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    stored = pack(codes, bits)
    assert stored.shape == (3, packed_width(classes, bits))
    assert classes * bits / 8 <= packed_width(classes, bits) <= (classes * bits + 7 * bits) / 8
    assert torch.equal(unpack(stored, bits, classes), codes)


def test_six_bits_by_hand():
    # four codes, three bytes: 63 and the low two bits of 2, then its high four, zero and one
    codes = torch.tensor([[0b111111, 0b000010, 0b000000, 0b000001]], dtype=torch.uint8)
    assert pack(codes, 6).tolist() == [[0b10111111, 0b00000000, 0b00000100]]


@pytest.mark.parametrize("bits", [4, 6])
@pytest.mark.parametrize("exact", [1, 8])
def test_the_largest_logits_are_exact_and_in_order(bits, exact):
    logits = logits_of(50)
    codec = packed(bits=bits, exact=exact)
    back = torch.from_numpy(codec.decode(codec.encode(Answers(logits)), 50))
    top = logits.topk(exact)
    assert torch.equal(back.gather(1, top.indices), top.values)
    assert torch.equal(back.argmax(1), logits.argmax(1))
    assert ((back - logits).abs().amax(1) > 1e-3).all()  # the others are not


def test_a_far_top_costs_the_others_nothing():
    """The rest has a range of its own: a confident class does not stretch it."""
    logits = logits_of(50)
    bound = packed(exact=1).error_bound(Answers(logits))
    logits.scatter_add_(1, logits.argmax(1, keepdim=True), torch.full((20, 1), 1000.0))
    assert np.array_equal(packed(exact=1).error_bound(Answers(logits)), bound)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_fewer_classes_than_exact_logits_are_all_exact(classes):
    logits = logits_of(classes)
    codec = packed(exact=3)
    assert np.array_equal(codec.decode(codec.encode(Answers(logits)), classes), logits.numpy())


@pytest.mark.parametrize(("classes", "dtype"), [(65536, "uint16"), (65537, "uint32")])
def test_class_numbers_are_wide_enough(classes, dtype):
    logits = torch.zeros(1, classes)
    logits[0, -1] = 1
    codec = packed(exact=1)
    encoded = codec.encode(Answers(logits))
    assert encoded["top_classes"].dtype == dtype == codec.arrays(classes)[3].dtype
    assert encoded["top_classes"].tolist() == [[classes - 1]]
    assert np.array_equal(codec.decode(encoded, classes), logits.numpy())


def test_bytes_of_a_thousand_classes():
    assert packed(bits=4).bytes_per_row(1000) == 500 + 8 + 8 * (4 + 2)
    assert packed(bits=6).bytes_per_row(1000) == 750 + 8 + 8 * (4 + 2)


def test_other_widths_are_refused():
    with pytest.raises(ConfigError, match=r"codec packed: bits: .*4 or 6"):
        packed(bits=5)
