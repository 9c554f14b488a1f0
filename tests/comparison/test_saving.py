"""What is said of the live teacher: measured by runs, or estimated from the teacher's own time, and never mixed up."""

import json
import time
from pathlib import Path

import pytest
import torch

from cache_kd.comparison import teacher_time
from cache_kd.comparison.grid import Group
from cache_kd.comparison.record import EpochRecord, Record
from cache_kd.comparison.saving import accounts_of, savings_of, teacher_seconds
from cache_kd.comparison.table import rows_of, table_csv
from cache_kd.comparison.teacher_time import TimedTeacher, seconds_per_image, timed_teacher
from cache_kd.errors import ConfigError, ModelError
from cache_kd.opened import open_store
from cache_kd.store.manifest import Part

TIMED = TimedTeacher(store_id="0" * 16, name="resnet20", seconds=0.01, batch_size=64, place="cpu, 2 thread(s)")


def record(seed: int, accuracy: float, seconds: float, *, spared: float | None = None, epochs: int = 1, **group):
    described = Group(**{"store": "r20", "student": "resnet8", "method": "kd"} | group)
    epoch = EpochRecord(
        accuracy=accuracy, cross_entropy=1.0, agreement=0.8, calibration_error=0.05, label_loss=1.2,
        tau=(), seconds=seconds, step_seconds=seconds / 10, waiting=0.01, peak_bytes=10**9,
    )  # fmt: skip
    return Record(
        name=f"{described.label}-s{seed}", group=described, seed=seed, epochs=(epoch,) * epochs, reliability=None,
        store_id="0" * 16, environment={"device": "cpu"}, teacher_seconds=spared,
    )  # fmt: skip


def parts(samples: int, views: int, test: int) -> dict[str, Part]:
    rows = {"fingerprint": "0", "chunk_rows": 64, "shard_rows": 64}
    return {"train": Part(samples=samples, views=views, **rows), "test": Part(samples=test, views=1, **rows)}


# ---- measured


def test_the_saving_is_over_the_seeds_that_both_have():
    """Live 6 s, cached 2 s; the cached student is 1 point better on seed 0, 3 on seed 1, and seed 2 has no match."""
    cached = [record(0, 0.71, 2.0), record(1, 0.73, 2.0), record(2, 0.10, 99.0)]
    live = [record(0, 0.70, 6.0, teacher="live"), record(1, 0.70, 6.0, teacher="live")]
    (saving,) = savings_of([*cached, *live])
    assert (saving.seeds, saving.ratio) == (2, pytest.approx(3.0))
    assert saving.accuracy == "2.00 ± 1.41"


def test_without_a_live_run_no_saving_is_measured():
    assert savings_of([record(0, 0.7, 2.0, spared=5.0)]) == []


# ---- estimated


def test_an_account_by_hand():
    """10 ms an image; 4 views of 1,000 images and 200 test images; two runs of 30 epochs, one shows pairs of views."""
    stored = parts(1000, 4, 200)
    runs = [
        record(0, 0.7, 2.0, epochs=30, spared=teacher_seconds(TIMED, stored["train"], 1)),
        record(0, 0.7, 2.0, epochs=30, spared=teacher_seconds(TIMED, stored["train"], 2), method="mlld"),
        record(0, 0.6, 1.0, epochs=30, method="ce", teacher="none"),
        record(0, 0.7, 9.0, epochs=30, teacher="live"),
    ]
    (account,) = accounts_of(runs, {"r20": TIMED}, {"r20": stored})
    assert (account.dump_rows, account.dump_seconds) == (4200, pytest.approx(42))
    assert account.runs == 2
    assert account.spared_seconds == pytest.approx(30 * 10 + 30 * 20)
    for words in ("estimated: resnet20 takes 10 ms an image (batches of 64, cpu, 2 thread(s))", "4,200 times, 42 s",
                  "paid for after 4.2 epochs of one student", "2 run(s) here were spared 15 min",
                  "so far the store saves 14 min"):  # fmt: skip
        assert words in str(account)


def test_many_views_for_few_epochs_are_not_paid_for_yet():
    stored = parts(1000, 15, 1000)
    (account,) = accounts_of([record(0, 0.7, 2.0, epochs=5, spared=10.0)], {"r20": TIMED}, {"r20": stored})
    assert account.even_students == 4
    assert "paid for after 4 students of 5 epochs" in str(account)
    assert "so far the store still costs 1.8 min" in str(account)


def test_the_table_has_the_estimate_without_a_spread_and_only_where_a_teacher_was_spared():
    cached, plain = rows_of(
        [*(record(seed, 0.7, 2.0, spared=5.0) for seed in (0, 1)), record(0, 0.6, 1.0, method="ce", teacher="none")]
    )
    assert cached.figures["teacher_seconds_per_epoch"].text(2) == "5.00"
    assert cached.figures["seconds_per_epoch"].text(2) == "2.00 ± 0.00"
    assert plain.figures["teacher_seconds_per_epoch"] is None
    assert "teacher_seconds_per_epoch_mean" in table_csv([cached])


# ---- the teacher's time


def timed(store: Path, folder: Path, **changes) -> TimedTeacher:
    knobs = {"batch_size": 32, "device": "cpu", "threads": 1, "checkpoint": None, "trust": ()}
    return timed_teacher(store, remembered=folder / "teachers.json", **(knobs | changes))


def test_a_teacher_is_timed_once_for_each_batch_size_and_place(stores, tmp_path, monkeypatch):
    first = timed(stores["float16"], tmp_path)
    assert first.name == "resnet8x0.5"
    assert first.store_id == open_store(stores["float16"]).manifest.store_id
    monkeypatch.setattr(teacher_time, "seconds_per_image", lambda ask, pixels: 7.0)
    assert timed(stores["float16"], tmp_path) == first
    assert timed(stores["float16"], tmp_path, batch_size=64).seconds == 7.0
    assert timed(stores["float16"], tmp_path, threads=2).seconds == 7.0
    assert [each["batch_size"] for each in json.loads((tmp_path / "teachers.json").read_text())] == [32, 64, 32]
    (tmp_path / "teachers.json").write_text("torn")
    assert timed(stores["float16"], tmp_path).seconds == 7.0


def test_the_teacher_is_given_whole_batches_of_the_views_it_was_dumped_on(stores, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(teacher_time, "seconds_per_image", lambda ask, pixels: seen.append(pixels) or 1.0)
    timed(stores["float16"], tmp_path, batch_size=1000)
    assert (seen[0].shape, seen[0].dtype) == ((1000, 28, 28, 1), torch.uint8)


def test_the_time_is_that_of_an_image_without_the_warming_up():
    slow = iter([0.2, 0.2])

    def ask(pixels):
        time.sleep(next(slow, 0.02))
        return torch.zeros(len(pixels), 10)

    assert 0.02 / 8 <= seconds_per_image(ask, torch.zeros(8, 2, 2, 1, dtype=torch.uint8)) < 0.2 / 8


def test_a_teacher_that_is_gone_is_not_timed(stores, tmp_path):
    with pytest.raises(ModelError, match="There is no checkpoint"):
        timed(stores["float16"], tmp_path, checkpoint=tmp_path / "gone.safetensors")
    with pytest.raises(ConfigError, match="--device cuda"):
        timed(stores["float16"], tmp_path, device="cuda:9")
