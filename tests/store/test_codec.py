import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cache_kd.config import parse_value
from cache_kd.errors import ConfigError, ModelError
from cache_kd.store.codec import Answers, codec_names, make_codec

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")

# every codec as its name makes it, and what its knobs can make of it
SPECS = [
    *codec_names(),
    {"name": "uint8", "top_step": 0.25},
    {"name": "packed", "bits": 4, "exact": 3, "top_step": 1.0},
]
every_codec = pytest.mark.parametrize("spec", SPECS, ids=str)

# up to where every codec can follow
matrices = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-65504, 65504, width=32)
)


@every_codec
@given(rows=matrices)
def test_no_logit_comes_back_further_off_than_the_bound(spec, rows):
    codec, logits = make_codec(spec), torch.from_numpy(rows)
    decoded = codec.decode(codec.encode(Answers(logits)), rows.shape[1])
    bound = codec.error_bound(Answers(logits))
    assert decoded.dtype == np.float32
    assert decoded.shape == rows.shape
    assert (np.abs(decoded.astype(np.float64) - rows) <= bound[:, None]).all()


@every_codec
@given(rows=matrices)
def test_the_arrays_are_the_ones_it_names(spec, rows):
    codec = make_codec(spec)
    encoded = codec.encode(Answers(torch.from_numpy(rows)))
    named = codec.arrays(rows.shape[1])
    assert list(encoded) == [array.name for array in named]
    for array in named:
        assert encoded[array.name].dtype == array.dtype
        assert encoded[array.name].shape == (len(rows), array.width)
    assert codec.bytes_per_row(rows.shape[1]) * len(rows) == sum(kept.nbytes for kept in encoded.values())


@every_codec
@given(rows=matrices)
def test_encoding_what_was_decoded_changes_nothing(spec, rows):
    codec = make_codec(spec)
    once = codec.decode(codec.encode(Answers(torch.from_numpy(rows))), rows.shape[1])
    assert np.array_equal(codec.decode(codec.encode(Answers(torch.from_numpy(once))), rows.shape[1]), once)


@every_codec
def test_a_row_is_encoded_by_itself(spec):
    codec, logits = make_codec(spec), torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    together = codec.decode(codec.encode(Answers(logits)), 5)
    apart = [codec.decode(codec.encode(Answers(row[None])), 5) for row in logits]
    assert np.array_equal(together, np.concatenate(apart))


@every_codec
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_encodes_and_decodes_to_the_same_bits(spec):
    codec, logits = make_codec(spec), 5 * torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
    here, there = codec.encode_tensors(Answers(logits)), codec.encode_tensors(Answers(logits.cuda()))
    assert all(torch.equal(there[name].cpu(), here[name]) for name in here)
    assert torch.equal(codec.decode_tensors(there, 100).cpu(), codec.decode_tensors(here, 100))


@every_codec
def test_decoding_gives_an_array_of_its_own(spec):
    codec = make_codec(spec)
    encoded = codec.encode(Answers(torch.ones(2, 3)))
    codec.decode(encoded, 3)[:] = 7
    assert (codec.decode(encoded, 3) == 1).all()


@every_codec
def test_the_json_gives_the_codec_back(spec):
    codec = make_codec(spec)
    assert make_codec(json.loads(json.dumps(codec.to_json()))) == codec


@every_codec
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_with_its_place(spec, bad):
    logits = torch.zeros(4, 5)
    logits[2, 3] = bad
    with pytest.raises(ModelError, match=r"row 2, class 3: .*finite"):
        make_codec(spec).encode(Answers(logits))


def test_the_documents_table_names_every_codec_with_its_bytes():
    rows = [line.strip("| \n").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [`{]", line)]
    table = {cells[0].strip("`"): cells[2:4] for cells in rows if len(cells) == 9}
    assert codec_names() == sorted(name for name in table if name.isidentifier())
    for spec, (hundred, thousand) in table.items():
        codec = make_codec(parse_value(spec))
        assert [codec.bytes_per_row(100), codec.bytes_per_row(1000)] == [int(hundred), int(thousand)], spec


def test_an_unknown_codec_gets_a_guess():
    with pytest.raises(ConfigError, match=r"no codec 'flaot16'; did you mean 'float16'"):
        make_codec("flaot16")
    with pytest.raises(ConfigError, match=r"codec float16: unknown key 'bits'"):
        make_codec({"name": "float16", "bits": 3})
