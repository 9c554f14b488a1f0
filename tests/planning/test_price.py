"""What a codec costs is what a store of it holds."""

from typing import ClassVar

import h5py
import pytest
import torch

from cache_kd.exchange.export import export_store
from cache_kd.methods import make_method
from cache_kd.planning.candidates import candidates, chosen, label
from cache_kd.planning.price import gzip_bytes, price
from cache_kd.store.codec import codec_names, make_codec
from cache_kd.store.codecs.float16 import Float16
from cache_kd.store.reader import Reader

PLAN = {"samples": {"train": 512, "test": 128}, "views": 2, "temperatures": (1, 4)}


def test_every_codec_is_a_candidate_and_every_label_is_its_own():
    specs = candidates(1000)
    assert {spec["name"] for spec in specs} == set(codec_names())
    labels = [label(codec) for codec in chosen(None, classes=1000)]
    assert len(set(labels)) == len(labels) == len(specs)


def test_a_codec_that_is_named_twice_is_measured_once():
    assert [label(codec) for codec in chosen(["uint8", {"name": "uint8", "top_step": 1.0}], classes=10)] == ["uint8"]


def test_the_exact_codec_loses_nothing_and_a_coarse_one_something(pilot):
    methods = {"kd": make_method("kd"), "rld": make_method("rld")}
    exact = price(make_codec("float32"), pilot, methods, **PLAN)
    assert exact.fidelity.kl == {1: 0, 4: 0}
    assert exact.cosines == {"kd": 1, "rld": 1}
    half = price(make_codec("float16"), pilot, methods, **PLAN)
    assert all(0.9999 < cosine < 1 for cosine in half.cosines.values())
    coarse = price(make_codec({"name": "packed", "bits": 4, "exact": 1}), pilot, methods, **PLAN)
    assert coarse.size.per_view < exact.size.per_view
    assert coarse.fidelity.kl[1] > 0
    assert coarse.worst_cosine == min(coarse.cosines.values()) < 1
    assert coarse.fidelity.rows == len(pilot.measuring.logits)


def test_a_fitted_codec_sees_one_half_and_is_measured_on_the_other(pilot):
    found = price(_Centred(), pilot, {}, **PLAN)
    mean = pilot.fitting.logits.mean(0, keepdim=True)
    exact = pilot.measuring.logits
    stored = (exact - mean).half().float() + mean
    assert found.fidelity.largest_error == pytest.approx(float((stored - exact).abs().max()), rel=1e-4)
    plain = price(make_codec("float16"), pilot, {}, **PLAN)
    # a safetensors file of ten numbers
    assert 40 < found.size.total - plain.size.total < 200


def test_gzip_is_as_small_as_an_export_makes_it(stores, tmp_path):
    export_store(stores["float16"], tmp_path / "store.h5")
    part = Reader.open(stores["float16"]).manifest.parts["train"]
    with h5py.File(tmp_path / "store.h5") as file:
        exported = file["logits/dense"]
        rows = exported[0, : part.chunk_rows]
        assert gzip_bytes({"dense": rows}) == exported.id.get_chunk_info(0).size


class _Centred(Float16):
    """float16 of what is left when the mean answer is taken away."""

    fitted: ClassVar[bool] = True

    def fit(self, pilot):
        return {"mean": pilot.logits.mean(0, keepdim=True)}

    def encode_tensors(self, answers):
        moved = answers.logits - self.parameter("mean", answers.logits.device)
        return super().encode_tensors(answers._replace(logits=moved))

    def decode_tensors(self, arrays, classes):
        return super().decode_tensors(arrays, classes) + self.parameter("mean", torch.device("cpu"))
