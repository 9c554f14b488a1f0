"""`kdcache export-student` as a user meets it."""

import json

import pytest

STUDENT = "resnet8x0.5"


@pytest.fixture
def run(kdcache, stores, tmp_path):
    """A run of one epoch, made from the shell."""
    out = tmp_path / "run"
    train = ("train", "--store", stores["float16"], "--student", STUDENT, "--method", "kd", "--epochs", 1)
    assert kdcache(*train, "--batch-size", 64, "--device", "cpu", "--out", out)[0] == 0
    return out


def test_a_student_leaves_from_the_shell_and_comes_back_as_a_teacher(kdcache, run, images, tmp_path):
    student = tmp_path / "out" / "student.safetensors"
    code, out, _ = kdcache("export-student", run, "--out", student)
    assert code == 0
    assert out.startswith(f"{student}  {STUDENT}  kd  accuracy ")
    code, _, err = kdcache("export-student", run, "--out", student)
    assert code == 1
    assert "--force" in err
    code, out, _ = kdcache("export-student", run, "--out", student, "--force", "--json")
    assert json.loads(out)["provenance"]["teachers"][0]["name"] == STUDENT
    dump = ("dump", "--data", images, "--teacher", STUDENT, "--checkpoint", student, "--recipe", "cifar")
    assert kdcache(*dump, "--views", 1, "--device", "cpu", "--store", tmp_path / "store")[0] == 0


def test_onnx_from_the_shell_says_how_far_it_is_from_torch(kdcache, run, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    code, out, _ = kdcache(
        "export-student", run, "--out", tmp_path / "student.safetensors", "--onnx", tmp_path / "student.onnx"
    )
    assert code == 0
    assert "student.onnx  opset 18  " in out.splitlines()[1]
    assert "of torch" in out.splitlines()[1]


def test_what_is_no_run_is_one_sentence(kdcache, stores, tmp_path):
    code, _, err = kdcache("export-student", stores["float16"], "--out", tmp_path / "student.safetensors")
    assert code == 1
    assert "is not a run folder" in err
    assert len(err.strip().splitlines()) == 1
