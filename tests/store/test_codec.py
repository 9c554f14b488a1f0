import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cache_kd.config import parse_value
from cache_kd.errors import ConfigError, ModelError
from cache_kd.store.codec import Answers, Codec, LastLayer, codec_names, make_codec

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")

# every codec as its name makes it, and what its knobs can make of it
SPECS = [
    *codec_names(),
    {"name": "uint8", "top_step": 0.25},
    {"name": "packed", "bits": 4, "exact": 3, "top_step": 1.0},
    {"name": "topk", "k": 2},
    {"name": "topk", "k": 1, "exact": True},
    {"name": "lowrank", "rank": 2, "exact": 1},
    {"name": "feature", "precision": "float16"},
]
every_codec = pytest.mark.parametrize("spec", SPECS, ids=str)
every_codec_that_is_not_fitted = pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if not make_codec(spec).fitted], ids=str
)

# up to where every codec can follow, and wide enough for a rest beside the largest
matrices = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.one_of(st.integers(1, 6), st.integers(24, 40))),
    elements=st.floats(-65504, 65504, width=32),
)


def answers_of(logits: torch.Tensor) -> Answers:
    """A teacher whose features are its logits, and whose label is no class in particular."""
    rows, classes = logits.shape
    layer = LastLayer(logits, torch.eye(classes), torch.zeros(classes))
    return Answers(logits, torch.arange(rows) % classes, layer)


def ready(spec, logits: torch.Tensor) -> Codec:
    """The codec of `spec`, fitted to these rows where it has to be."""
    codec = make_codec(spec).resolved(classes=logits.shape[1], features=logits.shape[1])
    return codec.equipped(codec.fit(answers_of(logits)))


@every_codec
@settings(max_examples=40)
@given(rows=matrices)
def test_no_logit_comes_back_further_off_than_the_bound(spec, rows):
    logits = torch.from_numpy(rows)
    codec, answers = ready(spec, logits), answers_of(logits)
    decoded = codec.decode(codec.encode(answers), rows.shape[1])
    error = np.abs(decoded.astype(np.float64) - rows)
    assert decoded.dtype == np.float32
    assert decoded.shape == rows.shape
    assert (error <= codec.error_bound(answers)[:, None]).all()
    assert (error <= codec.error_bounds(answers)).all()
    assert (codec.error_bounds(answers) <= codec.error_bound(answers)[:, None]).all()


@every_codec
@settings(max_examples=40)
@given(rows=matrices)
def test_the_arrays_are_the_ones_it_names(spec, rows):
    logits = torch.from_numpy(rows)
    codec = ready(spec, logits)
    encoded = codec.encode(answers_of(logits))
    named = codec.arrays(rows.shape[1])
    assert list(encoded) == [array.name for array in named]
    for array in named:
        assert encoded[array.name].dtype == array.dtype
        assert encoded[array.name].shape == (len(rows), array.width)
    assert codec.bytes_per_row(rows.shape[1]) * len(rows) == sum(kept.nbytes for kept in encoded.values())


@every_codec_that_is_not_fitted
@settings(max_examples=40)
@given(rows=matrices)
def test_encoding_what_was_decoded_changes_nothing(spec, rows):
    codec = make_codec(spec)
    once = codec.decode(codec.encode(Answers(torch.from_numpy(rows))), rows.shape[1])
    assert np.array_equal(codec.decode(codec.encode(Answers(torch.from_numpy(once))), rows.shape[1]), once)


@every_codec
def test_a_row_is_decoded_by_itself(spec):
    logits = 3 * torch.randn(7, 40, generator=torch.Generator().manual_seed(0))
    codec = ready(spec, logits)
    encoded = codec.encode(answers_of(logits))
    together = codec.decode(encoded, 40)
    for row in range(7):
        one = slice(row, row + 1)
        apart = codec.decode({name: array[one] for name, array in encoded.items()}, 40)
        assert np.array_equal(apart, together[one])


@every_codec_that_is_not_fitted
def test_a_row_is_encoded_by_itself(spec):
    codec, logits = make_codec(spec), torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    together = codec.decode(codec.encode(Answers(logits)), 5)
    apart = [codec.decode(codec.encode(Answers(row[None])), 5) for row in logits]
    assert np.array_equal(together, np.concatenate(apart))


@every_codec
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_decodes_to_the_same_bits(spec):
    logits = 5 * torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
    codec, answers = ready(spec, logits), answers_of(logits)
    there = Answers(logits.cuda(), answers.labels.cuda(), LastLayer(*(part.cuda() for part in answers.last_layer)))
    kept = codec.encode_tensors(there)
    here = codec.decode_tensors({name: tensor.cpu() for name, tensor in kept.items()}, 100)
    assert torch.equal(codec.decode_tensors(kept, 100).cpu(), here)
    if not codec.fitted:  # coefficients and spreads are sums, which devices add up in their own order
        assert all(torch.equal(kept[name].cpu(), tensor) for name, tensor in codec.encode_tensors(answers).items())


@every_codec
def test_decoding_gives_an_array_of_its_own(spec):
    codec = ready(spec, torch.ones(2, 3))
    encoded = codec.encode(answers_of(torch.ones(2, 3)))
    codec.decode(encoded, 3)[:] = 7
    assert (codec.decode(encoded, 3) == 1).all()


@every_codec
def test_the_json_gives_the_codec_back(spec):
    codec = make_codec(spec)
    assert make_codec(json.loads(json.dumps(codec.to_json()))) == codec


@every_codec
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_with_its_place(spec, bad):
    codec, logits = ready(spec, torch.zeros(4, 5)), torch.zeros(4, 5)
    logits[2, 3] = bad
    with pytest.raises(ModelError, match=r"row 2, class 3: .*finite"):
        codec.encode(answers_of(logits))


def test_the_documents_table_names_every_codec_with_its_bytes():
    rows = [line.strip("| \n").split(" | ") for line in PAGE.splitlines() if re.match(r"\| [`{]", line)]
    table = {cells[0].strip("`"): cells[2:4] for cells in rows if len(cells) == 10}
    assert codec_names() == sorted({make_codec(parse_value(spec)).name for spec in table})
    for spec, (hundred, thousand) in table.items():
        codec = make_codec(parse_value(spec))
        assert [codec.bytes_per_row(100), codec.bytes_per_row(1000)] == [int(hundred), int(thousand)], spec


def test_an_unknown_codec_gets_a_guess():
    with pytest.raises(ConfigError, match=r"no codec 'flaot16'; did you mean 'float16'"):
        make_codec("flaot16")
    with pytest.raises(ConfigError, match=r"codec float16: unknown key 'bits'"):
        make_codec({"name": "float16", "bits": 3})
