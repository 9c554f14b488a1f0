"""Every codec from the teacher to the student: dumped, verified, read as stored, trained from."""

import numpy as np
import pytest
import torch

from cache_kd.dump import dump
from cache_kd.inspection import inspect_store
from cache_kd.store.codec import Answers, codec_names, make_codec
from cache_kd.store.reader import Reader
from cache_kd.train import TrainConfig, train
from cache_kd.verify import verify

SPECS = [*codec_names(), {"name": "uint8", "top_step": 0.25}, {"name": "packed", "bits": 4, "exact": 2}]
# mean KL(teacher || stored) in nats at T = 1 that the small teacher may cost; some four times what it does
MOST_KL = {"float32": 0.0, "float16": 1e-7, "bfloat16": 5e-6, "uint8": 1e-5, "packed": 5e-4}


@pytest.fixture(scope="module", params=SPECS, ids=str)
def stored(request, dump_config, tmp_path_factory):
    """A finished store of one view with one of the codecs, and the codec."""
    path = tmp_path_factory.mktemp("coded") / "store"
    dump(dump_config(path, codec=request.param, views=1))
    return path, make_codec(request.param)


def test_a_store_of_any_codec_holds_what_the_teacher_says(stored):
    path, codec = stored
    result = verify(path, rows=64, device="cpu", deep=True)
    assert result.holds
    seen = inspect_store(path)
    assert seen.manifest.codec == codec.to_json()
    assert seen.complete == 1
    assert seen.bytes_per_view > codec.bytes_per_row(10)


def test_what_is_read_is_the_teachers_logit_within_the_bound(stored, stores):
    path, codec = stored
    rows = np.arange(512)
    given = Reader.open(stores["float32"]).view("train", 0).rows(rows)
    read = Reader.open(path).view("train", 0).rows(rows)
    assert (np.abs(read - given).max(1) <= codec.error_bound(Answers(torch.from_numpy(given)))).all()
    teacher, kept = (torch.log_softmax(torch.from_numpy(logits).double(), dim=1) for logits in (given, read))
    kl = (teacher.exp() * (teacher - kept)).sum(1).mean()
    assert kl <= MOST_KL[codec.name]
    assert (read.argmax(1) == given.argmax(1)).mean() >= 0.98


def test_a_student_learns_from_a_store_of_any_codec(stored, tmp_path):
    path, _ = stored
    summary = train(
        TrainConfig(
            student="resnet8x0.5",
            out=tmp_path / "run",
            store=(path,),
            method="normkd",
            epochs=1,
            batch_size=64,
            device="cpu",
        )
    )
    assert summary["teacher"] == "cached"
