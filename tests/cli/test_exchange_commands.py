"""`kdcache export` and `kdcache import` as a user meets them."""

import json

import numpy as np
import pytest
from fkd_writer import CLASSES, CROPS, draw_crops, file_of, label_of, save, write_images

from cache_kd.store.reader import Reader

STUDENT = "resnet8x0.5"
GIVEN = ("--store", "s", "--data", "d", "--teacher", "t", "--normalise", "imagenet")


def test_a_store_goes_through_a_file_from_the_shell(kdcache, stores, tmp_path):
    code, out, err = kdcache("export", stores["float16"], tmp_path / "out.h5")
    assert code == 0
    assert "1,152 rows" in out
    assert "kdcache import" in err
    code, _, err = kdcache("export", stores["float16"], tmp_path / "out.h5")
    assert code == 1
    assert "--force" in err
    code, out, _ = kdcache(
        "export", stores["float16"], tmp_path / "out.h5", "--force", "--compression", "none", "--json"
    )
    assert json.loads(out)["bytes"] == (tmp_path / "out.h5").stat().st_size
    code, out, _ = kdcache("import", tmp_path / "out.h5", "--store", tmp_path / "store")
    assert code == 0
    assert "2 views x 512  (1,152 rows in" in out
    assert "already there" in kdcache("import", tmp_path / "out.h5", "--store", tmp_path / "store")[1]
    assert kdcache("verify", tmp_path / "store", "--rows", 10, "--deep", "--device", "cpu")[0] == 0


def test_logits_of_ones_own_from_the_shell(kdcache, stores, images, teacher_weights, tmp_path):
    np.save(tmp_path / "mine.npy", Reader.open(stores["float32"]).view("train", 0).rows(np.arange(512)))
    mine = ("import", tmp_path / "mine.npy", "--from", "npy", "--store", tmp_path / "store")
    code, out, _ = kdcache(
        *mine, "--data", images, "--teacher", STUDENT, "--normalise", "fashion-mnist", "--recipe", "cifar", "--json"
    )
    assert code == 0
    assert json.loads(out)["written_rows"] == 512
    assert "unproven" in kdcache("info", tmp_path / "store")[1]
    code, out, _ = kdcache("verify", tmp_path / "store", "--checkpoint", teacher_weights, "--device", "cpu")
    assert code == 0
    assert "holds" in out
    train = ("train", "--store", tmp_path / "store", "--student", STUDENT, "--epochs", 1, "--device", "cpu")
    code, _, err = kdcache(*train, "--out", tmp_path / "run")
    assert code == 0
    assert err.count("Warning: ") == 1
    assert "UnprovenAlignment" not in err


def test_soft_labels_of_fkd_from_the_shell(kdcache, tmp_path):
    generator = np.random.default_rng(0)
    pictures, labels = generator.integers(0, 256, (20, 16, 18), dtype=np.uint8), np.arange(20) % CLASSES
    for path in write_images(tmp_path / "images", pictures, labels):
        softmax = generator.dirichlet(np.ones(CLASSES), CROPS).astype(np.float32)
        label = label_of(softmax, "marginal_smoothing_k5")
        save(file_of(tmp_path / "soft", path), *draw_crops(generator, 16, 18), label, half=True)
    command = (
        "import", tmp_path / "soft", "--from", "fkd", "--temperature", 1, "--views", 2, "--size", 12,
        "--data", tmp_path / "images", "--teacher", "theirs", "--normalise", "imagenet", "--store", tmp_path / "store",
    )  # fmt: skip
    code, out, _ = kdcache(*command)
    assert code == 0
    assert "2 views x 20  (40 rows in" in out
    assert "already there" in kdcache(*command)[1]
    manifest = json.loads(kdcache("info", tmp_path / "store", "--json")[1])["manifest"]
    assert (manifest["recipe"]["name"], manifest["recipe"]["size"]) == ("recorded", 12)
    assert "FKD's soft labels at temperature 1, the top 5" in manifest["teacher"]["fingerprint"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x.h5",), "Missing option '--store'"),
        (("x.h5", "--store", "s", "--teacher", "resnet8"), "'--teacher' says what only --from asks for"),
        (("x.npy", "--store", "s", "--from", "npy", "--teacher", "resnet8"), "Missing option '--data'"),
        (("x", "--from", "fkd", *GIVEN), "Missing option '--temperature'"),
        (("x", "--from", "fkd", *GIVEN, "--temperature", 1, "--recipe", "rrc"), "'--recipe' is not for --from fkd"),
        (("x", "--from", "npy", *GIVEN, "--views", 2), "'--views' is not for --from npy"),
    ],
)
def test_what_an_import_lacks_or_knows_already_is_wrong_usage(kdcache, arguments, words):
    code, _, err = kdcache("import", *arguments)
    assert code == 2
    assert words in err
