"""Logits that somebody already has become a store that serves, and says what nobody can prove."""

import zipfile

import h5py
import numpy as np
import pytest
import torch

from cache_kd import open_store
from cache_kd.errors import ConfigError, ModelError, StoreMismatch, UnprovenAlignment
from cache_kd.exchange.logits_file import read_logits
from cache_kd.foreign import ForeignConfig, import_logits
from cache_kd.progress import Silent
from cache_kd.repair import repair
from cache_kd.store.reader import Reader
from cache_kd.train import Data, LiveTeacher, TrainConfig, train
from cache_kd.verify import verify

STUDENT = "resnet8x0.5"


@pytest.fixture(scope="session")
def logits(stores) -> np.ndarray:
    """The teacher's own over two views, float32 [2, 512, 10]."""
    reader = Reader.open(stores["float32"])
    return np.stack([reader.view("train", view).rows(np.arange(512)) for view in range(2)])


@pytest.fixture
def config(images, logits, tmp_path):
    """A function that makes a ForeignConfig of the teacher's logits in a file."""

    def make(saved=logits, **changes) -> ForeignConfig:
        np.save(tmp_path / "logits.npy", saved)
        knobs = {
            "logits": tmp_path / "logits.npy", "kind": "npy", "data": str(images), "teacher": STUDENT,
            "normalise": "fashion-mnist", "recipe": "cifar", "codec": "float32", "store": tmp_path / "store",
        }  # fmt: skip
        return ForeignConfig(**(knobs | changes))

    return make


def test_the_store_gives_the_logits_back_beside_the_pixels_of_the_recipe(config, logits, stores, tmp_path):
    result = import_logits(config())
    assert (result.views, result.samples, result.written_rows) == (2, 512, 1024)
    reader, dumped = Reader.open(tmp_path / "store"), Reader.open(stores["float32"])
    assert reader.manifest.alignment == "unproven"
    assert dumped.manifest.alignment == "proven"
    assert list(reader.manifest.parts) == ["train"]
    for view in range(2):
        assert np.array_equal(reader.view("train", view).rows(np.arange(512)), logits[view])
        assert np.array_equal(reader.digests("train", view), dumped.digests("train", view))
        assert np.array_equal(reader.witnesses(view), dumped.witnesses(view))
    assert np.array_equal(reader.labels("train"), dumped.labels("train"))
    assert import_logits(config()).written_rows == 0


def test_who_opens_it_is_warned_once_and_told_how_to_ask_a_teacher(config, tmp_path):
    import_logits(config())
    with pytest.warns(UnprovenAlignment, match=r"nobody can prove .*kdcache verify .*--checkpoint") as caught:
        store = open_store(tmp_path / "store")
    assert len(caught) == 1
    assert len([batch for epoch in range(2) for batch in store.loader(epoch, check="all")]) == 8


def test_a_student_trains_from_it_and_no_teacher_stands_in_for_its_own(config, tmp_path):
    import_logits(config())
    knobs = {"student": STUDENT, "store": tmp_path / "store", "method": "kd", "epochs": 1, "device": "cpu"}
    with pytest.warns(UnprovenAlignment) as caught:
        train(TrainConfig(**knobs, out=tmp_path / "run"))
    assert len(caught) == 1
    with pytest.warns(UnprovenAlignment), pytest.raises(ModelError, match="does not know the weights that made them"):
        train(TrainConfig(**knobs, out=tmp_path / "live", live_teacher=LiveTeacher()))


class Listener(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.mark.filterwarnings("ignore::cache_kd.errors.UnprovenAlignment")
def test_its_students_are_evaluated_on_the_test_images_of_its_data(config, tmp_path):
    import_logits(config())
    knobs = {"student": STUDENT, "store": tmp_path / "store", "method": "kd", "epochs": 1, "device": "cpu"}
    listener = Listener()
    summary = train(TrainConfig(**knobs, out=tmp_path / "run"), progress=listener)
    assert 0 < summary["accuracy"] < 1
    assert summary["agreement"] is None
    assert "Evaluated on the 128 test images of" in listener.said[0]
    assert "agreement with the teacher is not measured" in listener.said[0]


@pytest.mark.filterwarnings("ignore::cache_kd.errors.UnprovenAlignment")
def test_without_test_images_a_run_says_first_that_it_will_not_be_evaluated(config, images, tmp_path):
    with h5py.File(images) as whole, h5py.File(tmp_path / "train.h5", "w") as file:
        whole.copy("train", file)
        file.attrs["classes"] = whole.attrs["classes"]
    import_logits(config(data=str(tmp_path / "train.h5")))
    knobs = {"student": STUDENT, "store": tmp_path / "store", "method": "kd", "epochs": 1, "device": "cpu"}
    listener = Listener()
    summary = train(TrainConfig(**knobs, out=tmp_path / "run"), progress=listener)
    assert (summary["accuracy"], summary["best_accuracy"], summary["agreement"]) == (None, None, None)
    assert "Nothing will be evaluated: neither" in listener.said[0]
    assert "accuracy" not in listener.said[-1]
    beside = TrainConfig(**knobs, out=tmp_path / "beside", data=Data(data=str(images)))
    assert train(beside)["accuracy"] is not None
    torn = tmp_path / "torn.h5"
    with h5py.File(tmp_path / "train.h5") as whole, h5py.File(torn, "w") as file:
        whole.copy("train", file)
        file.attrs["classes"] = whole.attrs["classes"]
        file["test/images"] = whole["train/images"][:4]  # without labels
    assert train(TrainConfig(**knobs, out=tmp_path / "torn", data=Data(data=str(torn))), progress=listener)
    assert any("those of" in words and "cannot be shown" in words for words in listener.said)


def test_verify_asks_the_teacher_that_is_named(config, logits, teacher_weights, tmp_path):
    import_logits(config())
    assert verify(tmp_path / "store", rows=40, device="cpu", checkpoint=teacher_weights).holds
    alone = verify(tmp_path / "store", rows=40, device="cpu")
    assert (alone.holds, alone.largest_difference) == (True, None)
    assert "--checkpoint WEIGHTS" in alone.unasked
    import_logits(config(logits[:, ::-1], store=tmp_path / "shuffled"))
    found = verify(tmp_path / "shuffled", rows=40, device="cpu", checkpoint=teacher_weights)
    assert found.largest_excess > 1
    assert not found.holds


def test_rows_that_only_the_file_had_are_imported_again_and_the_rest_is_repaired(config, tmp_path):
    import_logits(config())
    store = tmp_path / "store"
    (store / "labels" / "c" / "0").unlink()
    assert verify(store).mends == [f"kdcache repair {store} redoes just these."]
    assert repair(store).same == ("train labels",)
    shard = store / "logits/dense/c/0/1/0"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    (mend,) = verify(store, deep=True).mends
    assert f"kdcache rm {store}, then kdcache import" in mend
    with pytest.raises(ModelError, match="import again"):
        repair(store)


def test_one_view_of_plain_images_is_the_default(config, logits, tmp_path):
    import_logits(config(logits[0], recipe="none"))
    manifest = Reader.open(tmp_path / "store").manifest
    assert manifest.parts["train"].views == 1
    assert manifest.recipe["name"] == "none"


@pytest.mark.parametrize("codec", ["topk", "lowrank"])
def test_codecs_that_depend_on_the_teacher_keep_them_too(config, codec, tmp_path):
    assert import_logits(config(codec=codec)).written_rows == 1024
    assert Reader.open(tmp_path / "store").manifest.fidelity is not None


def test_a_codec_of_the_last_layer_is_refused_for_there_is_none(config, tmp_path):
    with pytest.raises(ConfigError, match="feature"):
        import_logits(config(codec="feature"))
    assert not (tmp_path / "store").exists()


def test_other_logits_are_another_store(config, logits, tmp_path):
    import_logits(config())
    with pytest.raises(StoreMismatch, match=r"teacher\.fingerprint: stored .unknown, of the logits"):
        import_logits(config(logits + 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_torch_files_of_any_float_are_read(logits, tmp_path, dtype):
    saved = torch.from_numpy(logits).to(dtype)
    torch.save(saved, tmp_path / "logits.pt")
    assert torch.equal(read_logits(tmp_path / "logits.pt", "torch"), saved)
    torch.save(torch.nn.Parameter(saved), tmp_path / "learned.pt")
    assert not read_logits(tmp_path / "learned.pt", "torch").requires_grad
    torch.save(saved[1], tmp_path / "one.pt")
    assert torch.equal(read_logits(tmp_path / "one.pt", "torch"), saved[1:])


class Command:
    """What a pickle may hold."""

    def __reduce__(self):
        return print, ("it ran",)


def test_nothing_is_unpickled(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([Command()], dtype=object), allow_pickle=True)
    torch.save({"logits": Command()}, tmp_path / "x.pt")
    for name, kind in (("x.npy", "npy"), ("x.pt", "torch")):
        with pytest.raises(ModelError, match=f"cannot be read as --from {kind}"):
            read_logits(tmp_path / name, kind)
    assert "it ran" not in capsys.readouterr().out


def test_what_holds_no_logits_is_one_sentence(tmp_path):
    torch.save({"logits": torch.zeros(4, 3)}, tmp_path / "dict.pt")
    torch.save(torch.zeros(4, 3, dtype=torch.int64), tmp_path / "whole.pt")
    torch.save(torch.randn(3).expand(10**9, 4, 3), tmp_path / "expanded.pt")
    torch.save(torch.randn(5, 4).softmax(1).half(), tmp_path / "probabilities.pt")
    (tmp_path / "text.pt").write_text("no tensor")
    np.save(tmp_path / "flat.npy", np.zeros(4, np.float32))
    np.save(tmp_path / "cut.npy", np.zeros((4, 3), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    with zipfile.ZipFile(tmp_path / "zip.npy", "w"):
        pass
    (tmp_path / "torn_zip.npy").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "torn_header.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((((")
    (tmp_path / "number.pt").write_bytes(b"G")
    for name, words in (
        ("dict.pt", "holds dict; expected one floating"),
        ("whole.pt", r"holds torch.int64 \[4, 3\]"),
        ("expanded.pt", r"claims \[1000000000, 4, 3\] logits, more than it has bytes for"),
        ("probabilities.pt", "holds probabilities: rows that add up to 1"),
        ("text.pt", "cannot be read as --from torch"),
        ("nowhere.pt", "cannot be read as --from torch"),
        ("flat.npy", r"holds torch.float32 \[4\]"),
        ("cut.npy", "cannot be read as --from npy"),
        ("zip.npy", "cannot be read as --from npy"),
        ("torn_zip.npy", "cannot be read as --from npy"),
        ("torn_header.npy", "cannot be read as --from npy"),
        ("number.pt", "cannot be read as --from torch"),
        ("nowhere.npy", "cannot be read as --from npy"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            read_logits(tmp_path / name, "npy" if name.endswith("npy") else "torch")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:Validating sparse")
@pytest.mark.parametrize("layout", ["to_sparse_coo", "to_sparse_csr"])
def test_a_tensor_that_is_not_dense_is_named(tmp_path, layout):
    torch.save(getattr(torch.eye(4), layout)(), tmp_path / "sparse.pt")
    with pytest.raises(ModelError, match=r"holds a torch.sparse_\w+ tensor; expected a dense one"):
        read_logits(tmp_path / "sparse.pt", "torch")
    torch.save(torch.empty(4, 3, device="meta"), tmp_path / "meta.pt")
    with pytest.raises(ModelError, match="holds a meta tensor"):
        read_logits(tmp_path / "meta.pt", "torch")


def test_a_file_of_another_format_is_known_by_its_first_bytes(logits, tmp_path):
    saved = torch.from_numpy(logits)
    np.save(tmp_path / "logits.npy", logits)
    torch.save(saved, tmp_path / "logits.pt")
    torch.save(saved, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"logits": Command()}, tmp_path / "objects.pt")
    with h5py.File(tmp_path / "logits.h5", "w") as file:
        file["logits"] = logits
    for name, kind, words in (
        ("logits.npy", "torch", "what numpy.save writes. Pass --from npy"),
        ("logits.pt", "npy", "as torch.save writes. Pass --from torch"),
        ("logits.h5", "npy", "it is HDF5"),
        ("old.pt", "torch", "of torch before 1.6. Save it again"),
        ("objects.pt", "torch", "holds more than a tensor"),
        ("nowhere.pt", "torch", "No such file or directory"),
        ("", "npy", "Is a directory"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            read_logits(tmp_path / name, kind)
        assert not any(advice in str(caught.value) for advice in ("weights_only set", "arbitrary", "mmap"))


def test_logits_of_other_data_are_refused_before_anything_is_written(config, logits, tmp_path):
    for saved in (logits[:, :-1], logits[..., :-1]):
        with pytest.raises(StoreMismatch, match=r"has logits of .* row i of each view is sample i"):
            import_logits(config(saved))
    assert not (tmp_path / "store").exists()


def test_a_logit_that_is_not_finite_is_named_and_leaves_no_store(config, logits, tmp_path):
    bad = logits.copy()
    bad[1, 300, 4] = np.inf
    with pytest.raises(ModelError, match=r"logits.npy, view 1, row 300, class 4: inf; .* Correct the file"):
        import_logits(config(bad))
    with pytest.raises(ModelError, match=r"logits.npy, row 300, class 4: inf"):
        import_logits(config(bad[1]))
    huge = logits[0].astype(np.float64)
    huge[511, 9] = 1e39
    with pytest.raises(ModelError, match=r"row 511, class 9: 1e\+39; expected finite float32"):
        import_logits(config(huge, recipe="none"))
    assert not (tmp_path / "store").exists()
    assert import_logits(config()).written_rows == 1024
