"""Every kind of view through both routes: what the teacher saw is what the student sees, and both as one experiment."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError, StoreMismatch
from cache_kd.models.checkpoint import save_weights
from cache_kd.models.zoo import build
from cache_kd.opened import open_store
from cache_kd.order import OrderConfig
from cache_kd.rundir import RunFolder
from cache_kd.store.manifest import read_manifest
from cache_kd.stored import open_stored_recipe
from cache_kd.train import LiveTeacher, Optimiser, TrainConfig, train
from cache_kd.verify import verify

STUDENT = "resnet8x0.5"
GROUPS = {
    "name": "groups",
    "groups": [
        {"recipe": {"name": "rrc", "size": 24}, "count": 1},
        {"recipe": {"name": "rrc", "size": 16, "scale": [0.05, 0.4]}, "count": 2},
    ],
}
OWN = "own_view:turned"


@pytest.fixture(scope="module")
def kinds(dump_config, tmp_path_factory):
    """One store for every kind of view, float32, six views of groups and two of the others."""
    root = tmp_path_factory.mktemp("kinds")
    recipes = {
        "mixed": "cifar+mixup+cutmix",
        "steps": "cifar+trivialaugment+erasing",
        "groups": GROUPS,
        "own": f"{OWN}+mixup",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)
        for name, recipe in recipes.items():
            views = 6 if name == "groups" else 2
            dump(dump_config(root / name, recipe=recipe, views=views, codec="float32"))
    return root


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    """`own_view` stands beside the tests."""
    monkeypatch.chdir(Path(__file__).parent)


def config(out, store, **changes):
    knobs = {"student": STUDENT, "out": out, "store": store, "batch_size": 64, "epochs": 2, "device": "cpu",
             "method": "kd", "check": "all", "trust": (OWN,)}  # fmt: skip
    return TrainConfig(**(knobs | changes))


def same_weights(first, second):
    one, two = (load_file(out / "weights.safetensors") for out in (first, second))
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("kind", ["mixed", "steps", "groups", "own"])
def test_cached_is_live_for_every_kind_of_view(kinds, tmp_path, kind):
    per_batch = 3 if kind == "groups" else 1
    student = config(tmp_path / "cached", kinds / kind, views_per_batch=per_batch, optimiser=Optimiser(lr=0.01))
    train(student)
    train(student.model_copy(update={"out": tmp_path / "live", "live_teacher": LiveTeacher()}))
    cached, live = (load_file(tmp_path / name / "weights.safetensors") for name in ("cached", "live"))
    for name, tensor in cached.items():
        if tensor.is_floating_point():
            # groups: the teacher sees a view alone in the one, three together in the other
            torch.testing.assert_close(tensor, live[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["mixed", "steps", "groups", "own"])
def test_verify_asks_the_teacher_again_about_every_kind_of_view(kinds, kind):
    assert verify(kinds / kind, rows=48, device="cpu", trust=(OWN,)).holds


def test_labels_of_mixed_views_are_shared_as_their_pixels_are(kinds):
    store = open_store(kinds / "mixed")
    images, labels, _ = next(iter(store.loader(0, batch_size=128, check="all")))
    assert labels.shape == (128, 10)
    torch.testing.assert_close(labels.sum(1), torch.ones(128))
    samples = store.order(0, 0, batch_size=128).batch(0)
    partners = store.recipe.pairs(store.manifest.seed, 512, 0).partner(samples)
    assert np.isin(partners, samples).all()  # nothing is rendered twice
    of_both = labels.gather(1, torch.from_numpy(store.source.labels()[np.stack([samples, partners], 1)])).sum(1)
    assert (of_both >= 1).all()
    assert len(images) == 128


def test_a_method_that_reads_the_label_refuses_mixed_views_by_name(kinds, tmp_path):
    with pytest.raises(ConfigError, match="rld needs the one label of each sample; these are mixed"):
        train(config(tmp_path / "run", kinds / "mixed", method="rld"))
    assert not (tmp_path / "run").exists()


def test_a_method_that_will_read_the_label_refuses_mixed_views_before_its_first_epoch(kinds, tmp_path):
    """With weights of 0 dkd reads nothing."""
    rising = {"alpha": {"points": [[1, 0.0], [2, 1.0]]}, "beta": 0.0}
    with pytest.raises(ConfigError, match="dkd needs the one label of each sample; these are mixed"):
        train(config(tmp_path / "run", kinds / "mixed", method="dkd", knobs=rising))
    assert not (tmp_path / "run").exists()


def test_a_window_that_would_part_partners_is_refused_before_anything_is_written(kinds, tmp_path):
    with pytest.raises(ConfigError, match=r"needs mixing partners from one chunk of \d+ rows"):
        train(config(tmp_path / "run", kinds / "mixed", order=OrderConfig(window=2)))
    assert not (tmp_path / "run").exists()


def test_plain_training_takes_mixed_labels(images, tmp_path):
    from cache_kd.train import Data

    data = Data(data=str(images), recipe="cifar+mixup", normalise="fashion-mnist")
    summary = train(
        TrainConfig(student=STUDENT, out=tmp_path / "run", data=data, epochs=2, batch_size=32, device="cpu")
    )
    assert summary["accuracy"] > 0.2


def test_views_of_several_sizes_share_a_batch(kinds):
    images, labels, logits = next(iter(open_store(kinds / "groups").loader(0, batch_size=20, views=3)))
    assert [tuple(of_one_size.shape) for of_one_size in images] == [(20, 1, 24, 24), (40, 1, 16, 16)]
    assert len(labels) == len(logits) == 60
    assert torch.equal(labels[:20], labels[40:])


def test_a_transform_of_ones_own_is_imported_only_when_trusted(kinds, tmp_path):
    sys.modules.pop("own_view", None)
    for attempt in (
        lambda: open_store(kinds / "own"),
        lambda: train(config(tmp_path / "run", kinds / "own", trust=())),
        lambda: verify(kinds / "own", rows=4, device="cpu"),
    ):
        with pytest.raises(ConfigError, match=f"--trust {OWN}"):
            attempt()
    assert "own_view" not in sys.modules
    assert not (tmp_path / "run").exists()


def test_a_dump_says_whom_a_training_has_to_trust(kinds, dump_config):
    again = dump(dump_config(kinds / "own", recipe=f"{OWN}+mixup", codec="float32"))
    assert again.computed_rows == 0
    assert again.functions == (OWN,)
    assert dump(dump_config(kinds / "mixed", recipe="cifar+mixup+cutmix", codec="float32")).functions == ()


# without its digest of the code a recipe looks for the code when it is made; so do words
@pytest.mark.parametrize("base", [{"name": "replay", "function": OWN, "code": ""}, OWN, f"{OWN}+cutout"])
def test_a_crafted_manifest_imports_nothing(kinds, base):
    sys.modules.pop("own_view", None)
    within = {"name": "mixed", "mixup": 1.0, "base": base}
    crafted = read_manifest(kinds / "own").model_copy(update={"recipe": within})
    with pytest.raises(ConfigError, match=f"--trust {OWN}"):
        open_stored_recipe(crafted, path=kinds / "own")
    assert "own_view" not in sys.modules


def test_a_transform_that_does_not_replay_is_refused_before_the_teacher_runs(dump_config, tmp_path):
    with pytest.raises(ConfigError, match=r"own_view:forgetful does not replay: \d+ of 32 rows differ"):
        dump(dump_config(tmp_path / "store", recipe="own_view:forgetful"))
    assert not (tmp_path / "store").exists()


def test_windows_visit_every_chunk_once(stores, tmp_path):
    train(config(tmp_path / "run", stores["float32"], order=OrderConfig(window=2), epochs=1))
    store = open_store(stores["float32"])
    chunk = store.manifest.parts["train"].chunk_rows
    samples = np.concatenate(list(store.order(0, 0, batch_size=32, window=2).batches()))
    assert sorted(samples) == list(range(512))
    rows = store.manifest.row_order("train").row_of_sample[samples]
    assert {len(set(run // chunk)) for run in np.split(rows, 512 // (2 * chunk))} == {2}


def test_a_loader_goes_on_in_mid_epoch_and_shares_batches_among_ranks(stores):
    store = open_store(stores["float16"])

    def rows(**knobs):
        return [teacher for _, _, teacher in store.loader(3, batch_size=48, **knobs)]

    whole = rows()
    assert all(torch.equal(*pair) for pair in zip(rows(first_step=7), whole[7:], strict=True))
    for world in (2, 4):
        parts = [rows(rank=rank, world=world) for rank in range(world)]
        for batch, of_ranks in zip(whole, zip(*parts, strict=True), strict=True):
            assert torch.equal(torch.cat(of_ranks), batch)


@pytest.mark.parametrize("schedule", ["shuffled", "first", "stretches"])
def test_a_schedule_says_which_views_are_shown(stores, tmp_path, schedule):
    shown = []
    store = open_store(stores["float32"])
    for epoch in range(4):
        teacher = torch.cat([rows for _, _, rows in store.loader(epoch, schedule=schedule, epochs=4)])
        stored = [torch.from_numpy(store.reader.view("train", view).rows(np.arange(512))) for view in (0, 1)]
        shown.append([torch.equal(teacher.sort(0).values, view.sort(0).values) for view in stored].index(True))
    assert {"first": [0, 0, 0, 0], "stretches": [0, 0, 1, 1]}.get(schedule, shown) == shown
    assert sorted(shown[:2]) == ([0, 0] if schedule != "shuffled" else [0, 1])
    train(config(tmp_path / "run", stores["float32"], view_schedule=schedule, epochs=1))


def test_too_many_views_per_batch_are_refused(stores, tmp_path):
    with pytest.raises(StoreMismatch, match="every batch takes 3"):
        train(config(tmp_path / "a", stores["float32"], views_per_batch=3))
    with pytest.raises(ConfigError, match=r"compares 2 views .* views_per_batch is 3"):
        train(config(tmp_path / "b", stores["float32"], method="mlld", views_per_batch=3))


# ---- trees of files: worker processes


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """96 training and 32 test images of several sizes in two classes, and a teacher for them."""
    top, drawn = tmp_path_factory.mktemp("tree"), np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 32)):
        for number in range(count):
            folder = top / split / f"class{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            height, width = drawn.integers(20, 50, 2)
            pixels = drawn.integers(0, 128, (height, width, 3), dtype=np.uint8) + np.uint8(127 * (number % 2))
            Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=95)
    about = {"classes": 2, "normalise": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    torch.manual_seed(0)
    save_weights(build(STUDENT, classes=2, channels=3), top / "teacher.safetensors", about)
    return top


def tree_dump(tree, store, **changes):
    knobs = {"data": str(tree), "teacher": STUDENT, "checkpoint": tree / "teacher.safetensors", "store": store,
             "views": 2, "batch_size": 16, "device": "cpu", "recipe": {"name": "rrc", "size": 16}}  # fmt: skip
    return dump(DumpConfig(**(knobs | changes)))


def test_workers_write_the_same_store_and_train_the_same_student(tree, tmp_path):
    for workers in (0, 1):
        tree_dump(tree, tmp_path / f"store{workers}", workers=workers)
        train(config(tmp_path / f"run{workers}", tmp_path / f"store{workers}", workers=workers, batch_size=16))
    one, two = (read_manifest(tmp_path / f"store{workers}") for workers in (0, 1))
    assert one.store_id == two.store_id
    files = [file.relative_to(tmp_path / "store0") for file in (tmp_path / "store0").rglob("c/*/*") if file.is_file()]
    assert files
    for file in files:
        assert (tmp_path / "store0" / file).read_bytes() == (tmp_path / "store1" / file).read_bytes()
    assert same_weights(tmp_path / "run0", tmp_path / "run1")


@pytest.mark.slow
def test_a_replayed_transform_in_workers_is_the_one_of_this_process(tree, tmp_path):
    recipe = {"name": "replay", "function": "own_view:small", "test": "own_view:small_and_plain"}
    names = ("own_view:small", "own_view:small_and_plain")
    for workers in (0, 1):
        tree_dump(tree, tmp_path / f"store{workers}", workers=workers, recipe=recipe, views=1)
    student = config(tmp_path / "run", tmp_path / "store1", workers=1, trust=names, epochs=1, batch_size=16)
    assert train(student)["pixels"]["kind"] == "exact"
    reader = [open_store(tmp_path / f"store{workers}", trust=names).reader for workers in (0, 1)]
    np.testing.assert_array_equal(reader[0].digests("train", 0), reader[1].digests("train", 0))


def test_another_order_of_the_files_is_another_source(tree, tmp_path):
    moved = shutil.copytree(tree, tmp_path / "tree")
    tree_dump(moved, tmp_path / "store")
    (moved / "train" / "class0" / "000.jpg").rename(moved / "train" / "class0" / "zzz.jpg")
    with pytest.raises(StoreMismatch, match="reordered"):
        train(config(tmp_path / "run", tmp_path / "store"))


def test_the_device_renders_the_same_pictures(stores, tmp_path):
    train(config(tmp_path / "device", stores["float32"], render="device"))
    train(config(tmp_path / "cpu", stores["float32"]))
    assert same_weights(tmp_path / "device", tmp_path / "cpu")
    assert RunFolder.open(tmp_path / "device").config["render"] == "device"
