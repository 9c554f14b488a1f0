"""Every codec from the teacher to the student: dumped, grown, verified, repaired, exported, read, trained from."""

import h5py
import numpy as np
import pytest
import torch

from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError, ModelError, StoreMismatch
from cache_kd.exchange.export import export_store
from cache_kd.exchange.import_store import import_store
from cache_kd.inspection import inspect_store
from cache_kd.repair import repair
from cache_kd.store.codec import Answers, codec_names, make_codec
from cache_kd.store.codecs.lowrank import LowRank
from cache_kd.store.reader import Reader
from cache_kd.train import Data, TrainConfig, train
from cache_kd.verify import verify

SPECS = [
    *codec_names(),
    {"name": "uint8", "top_step": 0.25},
    {"name": "packed", "bits": 4, "exact": 2},
    {"name": "lowrank", "rank": 4, "exact": 2},
]
# mean KL(teacher || stored) in nats at T = 1 that the small teacher may cost; some four times what it does. Ten
# classes are too few for topk to have a rest.
MOST_KL = {
    "float32": 0.0, "float16": 1e-7, "bfloat16": 5e-6, "uint8": 1e-5, "packed": 5e-4, "topk": 1e-7, "lowrank": 1e-1,
    "feature": 1e-12,
}  # fmt: skip

# of a teacher of forty classes, where there is a rest
FITTED = [
    {"name": "topk", "k": 4},
    {"name": "lowrank", "rank": 6, "exact": 3},
    "feature",
    {"name": "feature", "precision": "float16"},
]
every_fitted = pytest.mark.parametrize("spec", FITTED, ids=str)


@pytest.fixture(scope="module", params=SPECS, ids=str)
def stored(request, dump_config, tmp_path_factory):
    """A finished store of one view with one of the codecs, and its spec."""
    path = tmp_path_factory.mktemp("coded") / "store"
    dump(dump_config(path, codec=request.param, views=1))
    return path, request.param


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    """A function that makes a DumpConfig for a path: noise in forty classes, and a teacher that has seen it."""
    root = tmp_path_factory.mktemp("forty")
    generator = np.random.default_rng(0)
    with h5py.File(root / "images.h5", "w") as file:
        for split, count in (("train", 160), ("test", 40)):
            file[f"{split}/labels"] = np.arange(count) % 40
            file[f"{split}/images"] = generator.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)
    data = Data(data=str(root / "images.h5"), recipe="none", normalise="fashion-mnist")
    train(TrainConfig(student="resnet8x0.5", out=root / "run", data=data, epochs=3, batch_size=16, device="cpu"))

    def make(store, **changes) -> DumpConfig:
        knobs = {
            "data": str(root / "images.h5"), "teacher": "resnet8x0.5", "store": store, "views": 1, "batch_size": 32,
            "checkpoint": root / "run" / "weights.safetensors", "device": "cpu", "recipe": "cifar",
        }  # fmt: skip
        return DumpConfig(**(knobs | changes))

    return make


def test_a_store_of_any_codec_holds_what_the_teacher_says(stored):
    path, spec = stored
    result = verify(path, rows=64, device="cpu", deep=True)
    assert result.holds
    seen = inspect_store(path)
    assert seen.manifest.codec["name"] == make_codec(spec).name
    assert seen.complete == 1
    assert seen.bytes_per_view > make_codec(seen.manifest.codec).bytes_per_row(10)


def test_what_is_read_is_the_teachers_logit_within_the_bound(stored, stores):
    path, _ = stored
    rows, reader = np.arange(512), Reader.open(path)
    given = Reader.open(stores["float32"]).view("train", 0).rows(rows)
    read = reader.view("train", 0).rows(rows)
    if not reader.codec.reads_last_layer:
        answers = Answers(torch.from_numpy(given), torch.from_numpy(reader.labels("train")))
        assert (np.abs(read - given) <= reader.codec.error_bounds(answers)).all()
    teacher, kept = (torch.log_softmax(torch.from_numpy(logits).double(), dim=1) for logits in (given, read))
    kl = (teacher.exp() * (teacher - kept)).sum(1).mean()
    assert kl <= MOST_KL[reader.codec.name]
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
            min_gradient_cosine=0.0,
        )
    )
    assert summary["teacher"] == "cached"


@every_fitted
def test_a_grown_store_keeps_the_parameters_and_holds(spec, forty, tmp_path):
    path = tmp_path / "store"
    dump(forty(path, codec=spec))
    before, first = (path / "codec.safetensors").read_bytes(), Reader.open(path).view("train", 0).rows(np.arange(160))
    dump(forty(path, codec=spec, views=2))
    assert (path / "codec.safetensors").read_bytes() == before
    assert np.array_equal(Reader.open(path).view("train", 0).rows(np.arange(160)), first)
    assert verify(path, rows=120, device="cpu", deep=True).holds


@every_fitted
def test_a_store_that_lost_its_parameters_is_redone_to_the_same_bytes(spec, forty, tmp_path, files_of):
    path = tmp_path / "store"
    dump(forty(path, codec=spec))
    before = files_of(path)
    (path / "codec.safetensors").unlink()
    assert verify(path, rows=8, device="cpu").faults
    result = repair(path, device="cpu")
    assert result.rows == 200
    assert not result.other
    assert files_of(path) == before


@every_fitted
def test_an_export_makes_the_same_store_again(spec, forty, tmp_path, files_of):
    path = tmp_path / "store"
    dump(forty(path, codec=spec))
    export_store(path, tmp_path / "one.h5")
    import_store(tmp_path / "one.h5", tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(path)


def test_rows_of_other_parameters_are_not_imported_into_a_store(forty, tmp_path, files_of, monkeypatch):
    spec = {"name": "lowrank", "rank": 6, "exact": 3}
    dump(forty(tmp_path / "two", codec=spec, views=2))
    export_store(tmp_path / "two", tmp_path / "two.h5")
    fit = LowRank.fit

    def other(codec, pilot):
        return {name: -tensor if name == "basis" else tensor for name, tensor in fit(codec, pilot).items()}

    monkeypatch.setattr(LowRank, "fit", other)
    dump(forty(tmp_path / "one", codec=spec))
    before = files_of(tmp_path / "one")
    with pytest.raises(StoreMismatch, match=r"learnt other parameters .* nothing was changed"):
        import_store(tmp_path / "two.h5", tmp_path / "one")
    assert files_of(tmp_path / "one") == before


@every_fitted
def test_verify_notices_a_row_that_belongs_to_another_sample(spec, forty, tmp_path, monkeypatch):
    path = tmp_path / "store"
    dump(forty(path, codec=spec))
    view = Reader.open(path).view("train", 0)
    rows = type(view).rows
    monkeypatch.setattr(type(view), "rows", lambda self, samples: rows(self, np.roll(samples, 1)))
    assert not verify(path, rows=120, device="cpu").holds


def test_features_of_a_model_without_a_linear_last_layer_are_refused(forty, tmp_path, monkeypatch):
    from cache_kd.models.teacher import Teacher

    whole = Teacher.penultimate
    monkeypatch.setattr(Teacher, "penultimate", lambda self, pixels: (_end_in_tanh(self.model), whole(self, pixels))[1])
    with pytest.raises(ModelError, match=r"logits of .* are not the output of a torch\.nn\.Linear"):
        dump(forty(tmp_path / "store", codec="feature"))
    assert not (tmp_path / "store").exists()


def test_features_are_refused_where_there_are_only_logits():
    with pytest.raises(ConfigError, match="codec feature keeps what a teacher's last linear layer is given"):
        make_codec("feature").resolved(classes=10, features=None)


def test_a_method_that_cannot_learn_from_a_store_is_refused_before_there_is_a_run(forty, tmp_path):
    path = tmp_path / "store"
    dump(forty(path, codec={"name": "lowrank", "rank": 1, "exact": 1}))
    config = TrainConfig(
        student="resnet8x0.5", out=tmp_path / "run", store=(path,), method="kd", epochs=1, device="cpu"
    )
    with pytest.raises(StoreMismatch, match=r"kd cannot learn from .*store: the codec lowrank .*--codec uint8"):
        train(config)
    assert not (tmp_path / "run").exists()
    summary = train(config.model_copy(update={"min_gradient_cosine": -1.0}))
    assert summary["gradient_cosine"][Reader.open(path).manifest.store_id] < 0.9


def test_a_run_says_how_truly_its_store_teaches(stores, tmp_path):
    knobs = {"student": "resnet8x0.5", "epochs": 1, "device": "cpu", "method": "kd"}
    for codec in ("float16", "float32"):
        path = stores[codec]
        cosines = train(TrainConfig(out=tmp_path / codec, store=(path,), **knobs))["gradient_cosine"]
        if codec == "float32":
            assert cosines == {}
        else:
            assert cosines[Reader.open(path).manifest.store_id] > 0.9999


@pytest.fixture(scope="session")
def files_of():
    """A function that gives every file of a store, but for the lock: place -> bytes."""
    return lambda path: {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != "writing.lock"
    }


def _end_in_tanh(model: torch.nn.Module) -> None:
    model.register_forward_hook(lambda module, inputs, logits: logits.tanh())
