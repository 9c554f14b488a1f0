"""What leaves the house: weights and ONNX of a finished run, with where they come from."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cache_kd import __version__
from cache_kd.errors import ConfigError, ModelError, RunError
from cache_kd.export_student import ExportStudentConfig, export_student
from cache_kd.models.checkpoint import fingerprint, read_about
from cache_kd.models.load import load_model
from cache_kd.models.normalise import make_normalise
from cache_kd.opened import open_store
from cache_kd.provenance import Provenance
from cache_kd.rundir import RunFolder
from cache_kd.train import Data, LiveTeacher, TrainConfig, train

PAGE = (Path(__file__).parents[1] / "docs" / "students.md").read_text(encoding="utf-8")
STUDENT = "resnet8x0.5"
CLOTHES = 10


@pytest.fixture(scope="module")
def run(stores, tmp_path_factory):
    """Two epochs of a student, with an average of its weights."""
    out = tmp_path_factory.mktemp("runs") / "kd"
    train(
        TrainConfig(
            student=STUDENT, out=out, store=stores["float16"], method="dkd+normkd", epochs=2, ema_decay=0.5,
            batch_size=64, device="cpu", seed=3,
        )
    )  # fmt: skip
    return out


def exported(run, folder, **changes):
    return export_student(ExportStudentConfig(run=run, out=folder / "student.safetensors", **changes))


# ---- the weights


def test_the_weights_are_those_of_the_run(run, tmp_path):
    result = exported(run, tmp_path)
    ours, theirs = load_file(run / "weights.safetensors"), load_file(tmp_path / "student.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert result.provenance.fingerprint == RunFolder.open(run).summary["weights"]
    assert result.bytes == (tmp_path / "student.safetensors").stat().st_size
    assert (result.onnx, result.opset) == (None, None)


def test_the_metadata_say_where_the_student_comes_from(run, stores, tmp_path):
    result = exported(run, tmp_path)
    about = read_about(tmp_path / "student.safetensors")
    assert about == json.loads(result.provenance.model_dump_json())
    manifest, summary = open_store(stores["float16"]).manifest, RunFolder.open(run).summary
    assert (about["model"], about["classes"], about["channels"]) == (STUDENT, CLOTHES, 1)
    assert about["class_names"][0] == "T-shirt/top"
    assert len(about["class_names"]) == CLOTHES
    assert (about["height"], about["width"]) == (28, 28)
    assert about["normalise"] == {"mean": [0.2860], "std": [0.3530]}
    assert about["method"] == "dkd+normkd"
    assert about["composition"] == {"method": "dkd", "temperature": "normkd"}
    teacher = {"name": STUDENT, "fingerprint": manifest.teacher.fingerprint, "store_id": manifest.store_id}
    assert about["teachers"] == [teacher]
    assert about["store_id"] == manifest.store_id
    assert about["fold"] is None
    assert (about["seed"], about["epochs"], about["weights"]) == (3, 2, "last")
    assert (about["accuracy"], about["best_accuracy"]) == (summary["accuracy"], summary["best_accuracy"])
    assert about["cache_kd"] == __version__


def test_averaged_weights_go_out_with_their_own_accuracy(run, tmp_path):
    averaged = exported(run, tmp_path, weights="ema").provenance
    last = exported(run, tmp_path, force=True).provenance
    assert averaged.weights == "ema"
    assert averaged.fingerprint != last.fingerprint
    assert averaged.accuracy == RunFolder.open(run).summary["ema_accuracy"]
    assert averaged.best_accuracy >= averaged.accuracy


def test_an_exported_student_becomes_a_teacher(run, dump_config, stores, tmp_path):
    """Its store is the one of the run's own weights, with the normalisation that the file says."""
    from cache_kd.dump import dump

    exported(run, tmp_path)
    for name, weights in (("a", tmp_path / "student.safetensors"), ("b", run / "weights.safetensors")):
        dump(dump_config(tmp_path / name, checkpoint=weights, codec="float32", views=1))
    first, second = open_store(tmp_path / "a"), open_store(tmp_path / "b")
    assert first.manifest.store_id == second.manifest.store_id
    assert torch.equal(first.logits(0, np.arange(64)), second.logits(0, np.arange(64)))
    assert first.manifest.teacher.normalise == open_store(stores["float16"]).manifest.teacher.normalise


def test_a_teacher_of_its_own_says_its_classes_and_pictures(images, teacher_weights, tmp_path):
    about = exported(teacher_weights.parent, tmp_path).provenance
    assert (about.height, about.width, about.channels) == (28, 28, 1)
    assert about.class_names[-1] == "Ankle boot"
    assert (about.method, about.teachers, about.store_id) == (None, (), None)
    assert about.best_accuracy >= about.accuracy > 0


def test_a_live_teacher_is_named_with_the_weights_it_had(images, teacher_weights, tmp_path):
    train(
        TrainConfig(
            student=STUDENT,
            out=tmp_path / "run",
            data=Data(data=str(images), normalise="fashion-mnist"),
            live_teacher=LiveTeacher(name=STUDENT, checkpoint=teacher_weights),
            method="kd",
            epochs=1,
            device="cpu",
        )
    )
    (teacher,) = exported(tmp_path / "run", tmp_path).provenance.teachers
    loaded = load_model(STUDENT, teacher_weights, classes=CLOTHES, channels=1)
    assert (teacher.name, teacher.fingerprint) == (STUDENT, fingerprint(loaded.model))
    assert teacher.store_id is None


def test_several_teachers_are_all_named(stores, second_store, tmp_path):
    both = (stores["float16"], second_store)
    train(TrainConfig(student=STUDENT, out=tmp_path / "run", store=both, method="kd", epochs=1, device="cpu"))
    about = exported(tmp_path / "run", tmp_path).provenance
    assert "+".join(teacher.store_id for teacher in about.teachers) == about.store_id
    assert [teacher.name for teacher in about.teachers] == [STUDENT, STUDENT]
    assert about.fold == "mean_probabilities"


# ---- what the run's own weights say


def test_the_weights_of_a_run_say_it_themselves_before_anybody_exports_them(run, tmp_path):
    """Class names, the pictures' size and the teachers too; an export adds which weights they are, and how good."""
    exported(run, tmp_path)
    ours, theirs = (read_about(path) for path in (run / "weights.safetensors", tmp_path / "student.safetensors"))
    assert (ours["class_names"][0], ours["height"], ours["width"]) == ("T-shirt/top", 28, 28)
    assert ours["teachers"][0]["name"] == STUDENT
    assert {**theirs, **ours} == theirs
    assert theirs.keys() - ours.keys() == {"weights", "fingerprint", "accuracy", "best_accuracy", "cache_kd"}


def test_a_store_that_is_gone_takes_nothing_with_it(own_store, tmp_path):
    train(TrainConfig(student=STUDENT, out=tmp_path / "run", store=own_store, method="kd", epochs=1, device="cpu"))
    manifest = open_store(own_store).manifest
    shutil.rmtree(own_store)
    about = exported(tmp_path / "run", tmp_path).provenance
    assert (len(about.class_names), about.height, about.width) == (CLOTHES, 28, 28)
    assert [each.store_id for each in about.teachers] == [about.store_id] == [manifest.store_id]


def test_the_size_is_that_of_the_views_not_of_the_images(images, tmp_path):
    data = Data(data=str(images), recipe={"name": "rrc", "size": 20}, normalise="fashion-mnist")
    train(TrainConfig(student=STUDENT, out=tmp_path / "run", data=data, epochs=1, device="cpu"))
    about = read_about(tmp_path / "run" / "weights.safetensors")
    assert (about["height"], about["width"]) == (20, 20)


# ---- refusals


def test_what_is_no_finished_run_is_refused(run, stores, tmp_path):
    for foreign in (stores["float16"], tmp_path / "nothing"):
        with pytest.raises(RunError, match=r"is not a run folder \(no config.json\)"):
            exported(foreign, tmp_path)
    begun = shutil.copytree(run, tmp_path / "begun")
    (begun / "summary.json").unlink()
    with pytest.raises(RunError, match=r"is unfinished: 2 of 2 epochs. Finish it: kdcache train --resume"):
        exported(begun, tmp_path)
    without = shutil.copytree(run, tmp_path / "without")
    (without / "weights-ema.safetensors").unlink()
    with pytest.raises(RunError, match=r"kept no running average .* ema_decay"):
        exported(without, tmp_path, weights="ema")
    shutil.copy(run / "weights-ema.safetensors", without / "weights.safetensors")
    with pytest.raises(RunError, match=r"has weights \w+; the run ended with \w+"):
        exported(without, tmp_path)
    from safetensors.torch import save_file

    save_file(load_file(run / "weights.safetensors"), without / "weights.safetensors")
    with pytest.raises(RunError, match=r"does not say its channels, class_names, .* earlier release"):
        exported(without, tmp_path)


def test_places_that_are_taken_are_refused(run, tmp_path):
    exported(run, tmp_path)
    before = (tmp_path / "student.safetensors").stat().st_mtime_ns
    with pytest.raises(RunError, match=r"is there already\. Pass another name, or --force"):
        exported(run, tmp_path)
    (tmp_path / "student.onnx").touch()
    with pytest.raises(RunError, match=r"student.onnx is there already"):
        export_student(ExportStudentConfig(run=run, out=tmp_path / "new.safetensors", onnx=tmp_path / "student.onnx"))
    with pytest.raises(RunError, match="is the run's own file"):
        export_student(ExportStudentConfig(run=run, out=run / "weights.safetensors", force=True))
    with pytest.raises(ConfigError, match=r"student.pt does not end in \.safetensors"):
        export_student(ExportStudentConfig(run=run, out=tmp_path / "student.pt"))
    assert (tmp_path / "student.safetensors").stat().st_mtime_ns == before
    assert not (tmp_path / "new.safetensors").exists()


def test_a_model_of_somebody_is_imported_only_when_it_is_named(stores, tmp_path, monkeypatch):
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "mine_to_export.py").write_text(
        "from cache_kd.models.zoo import build\n\ndef net(classes, channels):\n"
        "    return build('resnet8x0.5', classes=classes, channels=channels)\n"
    )
    name = "mine_to_export:net"
    train(TrainConfig(student=name, out=tmp_path / "run", store=stores["float16"], epochs=1, device="cpu"))
    with pytest.raises(ConfigError, match="--trust mine_to_export:net"):
        exported(tmp_path / "run", tmp_path)
    assert exported(tmp_path / "run", tmp_path, trust=(name,)).provenance.model == name
    sys.modules.pop("mine_to_export")


def test_a_full_disk_is_one_sentence(run, small_disk):
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    with pytest.raises(RunError, match=r"the disk is full .* run the same command again"):
        exported(run, small_disk)
    assert not (small_disk / "student.safetensors").exists()


# ---- ONNX


@pytest.fixture(scope="module")
def with_onnx(run, tmp_path_factory):
    """Both files of the run's student."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("onnx")
    return exported(run, folder, onnx=folder / "student.onnx")


def test_onnxruntime_gives_the_logits_of_the_student_on_any_number_of_pictures(run, stores, with_onnx):
    session = _session(with_onnx.onnx)
    student, normalise = _student(run)
    for count in (1, 3, 64):
        pixels = _pictures(stores, count)
        with torch.inference_mode():
            expected = student(normalise(pixels))
        (logits,) = session.run(["logits"], {"pixels": pixels.numpy()})
        assert (torch.from_numpy(logits) - expected).abs().max() < 1e-4


@pytest.mark.slow
def test_onnx_takes_normalised_images_where_that_is_asked_for(run, stores, with_onnx, tmp_path):
    result = exported(run, tmp_path, onnx=tmp_path / "student.onnx", onnx_input="normalised")
    _, normalise = _student(run)
    pixels = _pictures(stores, 7)
    images = normalise(pixels).contiguous()
    assert images.shape == (7, 1, 28, 28)
    (logits,) = _session(result.onnx).run(["logits"], {"normalised": images.numpy()})
    (expected,) = _session(with_onnx.onnx).run(["logits"], {"pixels": pixels.numpy()})
    assert np.abs(logits - expected).max() < 1e-4


def test_an_onnx_file_says_what_the_weights_say(with_onnx):
    import onnx

    model = onnx.load(with_onnx.onnx)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [with_onnx.opset] == [18]
    (about,) = (entry.value for entry in model.metadata_props if entry.key == "cache_kd")
    assert json.loads(about) == read_about(Path(with_onnx.out))
    assert with_onnx.onnx_difference < 1e-5


def test_the_page_about_students_is_true(with_onnx, monkeypatch, capsys):
    """Its code runs, and its table has every key."""
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    monkeypatch.chdir(Path(with_onnx.onnx).parent)
    exec(block, {})
    assert capsys.readouterr().out.strip() in with_onnx.provenance.class_names
    table = PAGE.partition("## What both files say")[2].partition("## ")[0]
    keys = [key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)]
    assert sorted(keys) == sorted(Provenance.model_fields)


def _session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def _student(run):
    path = run / "weights.safetensors"
    loaded = load_model(STUDENT, path, classes=CLOTHES, channels=1)
    return loaded.model.eval(), make_normalise(loaded.normalise, channels=1)


def _pictures(stores, count):
    return torch.from_numpy(open_store(stores["float16"]).source.images(np.arange(count)))


def test_without_onnx_the_mend_is_named(run, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", type(sys)("onnx"))
    with pytest.raises(ModelError, match=r"needs onnxruntime, which is not installed: pip install 'cache_kd\[onnx\]'"):
        exported(run, tmp_path, onnx=tmp_path / "student.onnx")
    assert not (tmp_path / "student.safetensors").exists()
