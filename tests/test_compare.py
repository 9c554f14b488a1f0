"""A comparison from a shell's point of view: real runs, resumed, failing, and a page that a browser shows."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock
from PIL import Image

from cache_kd.cli.main import main
from cache_kd.compare import Comparison, compare
from cache_kd.comparison.grid import CompareConfig
from cache_kd.comparison.pictures import COLOURS
from cache_kd.errors import RunError
from cache_kd.progress import Silent
from cache_kd.rundir import RunFolder

pytestmark = pytest.mark.slow  # every run is a process of its own, which imports torch first

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COMMAND = "import torch; torch.set_num_threads(1); from cache_kd.cli.main import main; main()"


class Words(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def config(out: Path, store: Path, **changes) -> CompareConfig:
    run = {"epochs": 1, "batch_size": 64, "device": "cpu"} | changes.pop("run", {})
    knobs = {"out": out, "store": (store,), "student": ("resnet8x0.5",), "methods": ("ce", "kd"), "seeds": (0, 1)}
    return CompareConfig(**(knobs | {"run": run, "jobs": 2} | changes))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def asked(stores, tmp_path_factory) -> CompareConfig:
    """Two methods, two seeds; one of the runs fails on its own."""
    out = tmp_path_factory.mktemp("compared") / "cmp"
    broken = out / "runs" / "float16-resnet8x0.5-ce-s1"
    broken.mkdir(parents=True)
    (broken / "notes.txt").write_text("somebody's own")
    return config(out, stores["float16"])


@pytest.fixture(scope="module")
def compared(asked):
    return compare(asked)


def test_a_run_that_fails_stops_no_other_and_says_why(compared, asked):
    assert list(compared.failed) == ["float16-resnet8x0.5-ce-s1"]
    assert "is not empty" in compared.failed["float16-resnet8x0.5-ce-s1"]
    assert [(row.group.label, row.n) for row in compared.rows] == [("ce", 1), ("kd", 2)]


def test_the_table_is_what_the_runs_say(compared, asked):
    summaries = [
        RunFolder.open(asked.out / "runs" / f"float16-resnet8x0.5-kd-s{seed}").summary["accuracy"] for seed in (0, 1)
    ]
    with (asked.out / "table.csv").open() as file:
        line = next(line for line in csv.DictReader(file) if line["method"] == "kd")
    assert float(line["last_accuracy_mean"]) == pytest.approx(100 * np.mean(summaries))
    assert float(line["last_accuracy_std"]) == pytest.approx(100 * np.std(summaries, ddof=1))
    assert line["n"] == "2"
    assert len((asked.out / "runs.csv").read_text().splitlines()) == 1 + 3
    assert r"\toprule" in (asked.out / "table.tex").read_text()


def test_the_page_holds_every_picture_and_nothing_from_elsewhere(compared, asked):
    page = (asked.out / "report.html").read_text("utf-8")
    # 4 of results, 4 of curves, 3 of cost; a reliability diagram for each row, temperatures for kd
    assert page.count("<svg") == 4 + 4 + 3 + 2 + 1
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', re.sub(r'xmlns(:\w+)?="[^"]*"', "", page))
    assert "<script" not in page
    assert "kdcache compare" in page


def test_the_saving_is_estimated_where_no_live_teacher_ran(compared, asked):
    (account,) = compared.accounts
    assert (account.store, account.dump_rows, account.runs) == ("float16", 2 * 512 + 128, 2)
    (cached,) = (row for row in compared.rows if row.group.method == "kd")
    assert cached.figures["teacher_seconds_per_epoch"].mean == pytest.approx(512 * account.teacher.seconds)
    page = (asked.out / "report.html").read_text("utf-8")
    assert "<h3>Estimated</h3>" in page
    assert "<h3>Measured</h3>" not in page
    assert str(account).partition("(")[0] in page


def test_what_is_finished_costs_nothing_and_what_failed_is_tried_again(compared, asked):
    (asked.out / "runs" / "float16-resnet8x0.5-ce-s1" / "notes.txt").unlink()
    before = {path: path.stat().st_mtime_ns for path in asked.out.glob("runs/*/weights.safetensors")}
    again = compare(asked)
    assert not again.failed
    assert [account.teacher for account in again.accounts] == [account.teacher for account in compared.accounts]
    assert [row.n for row in again.rows] == [2, 2]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_with_another_configuration_is_refused_by_name(compared, asked):
    other = asked.model_copy(update={"run": {**asked.run, "epochs": 2}})
    with pytest.raises(RunError, match=r"ce-s0 holds a run with epochs = 1 \(asked for 2\)"):
        compare(other)


def test_two_comparisons_do_not_share_a_folder(asked, tmp_path, stores):
    (tmp_path / "cmp").mkdir()
    with FileLock(tmp_path / "cmp" / "compare.lock"), pytest.raises(RunError, match="another kdcache compare is at"):
        compare(config(tmp_path / "cmp", stores["float16"]))


def test_a_teacher_that_is_gone_costs_the_estimate_alone(compared, asked, stores, tmp_path):
    """The finished runs elsewhere, and weights that are nowhere."""
    shutil.copytree(asked.out / "runs" / "float16-resnet8x0.5-kd-s0", tmp_path / "runs" / "float16-resnet8x0.5-kd-s0")
    run = {**asked.run, "live_teacher": {"checkpoint": str(tmp_path / "gone.safetensors")}}
    again = compare(
        config(tmp_path, stores["float16"], run=run, methods=("kd",), seeds=(0,)), progress=(words := Words())
    )
    assert not again.failed
    assert (again.accounts, again.rows[0].figures["teacher_seconds_per_epoch"]) == ((), None)
    assert "What the store float16 saves is not estimated" in words.said[-1]
    assert "gone.safetensors" in words.said[-1]


def test_a_killed_comparison_goes_on_where_it_was(stores, tmp_path):
    """kill -9 of the command in the middle of a run: its process ends too, and the same command finishes the run."""
    out = tmp_path / "cmp"
    arguments = ["compare", "--store", stores["float16"], "--student", "resnet8x0.5", "--methods", "kd", "--seeds", "1",
                 "--epochs", "8", "--batch-size", "64", "--device", "cpu", "--out", out]  # fmt: skip
    words = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    run = out / "runs" / "float16-resnet8x0.5-kd-s0"
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (run / "state.safetensors").exists():
        assert child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with FileLock(run / "train.lock", timeout=60):  # its run hears of it, and lets go
        assert not (run / "summary.json").exists()
    again = subprocess.run([*words, "--json"], check=True, capture_output=True, text=True)
    assert "going on after epoch" in (out / "logs" / f"{run.name}.log").read_text()
    assert json.loads(again.stdout)["rows"][0]["n"] == 1
    assert [line["epoch"] for line in RunFolder.open(run).metrics() if "epoch" in line] == list(range(1, 9))


def test_the_command_ends_with_1_where_a_run_failed(monkeypatch, tmp_path):
    failed = Comparison(rows=(), records=(), failed={"a-kd-s0": "it broke."}, files=())
    monkeypatch.setattr("cache_kd.compare.compare", lambda *_, **__: failed)
    words = ["compare", "--store", "s", "--student", "resnet8", "--methods", "kd", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "a-kd-s0 failed: it broke." in result.stderr


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_paints_the_pictures_without_a_complaint(compared, asked, tmp_path, scheme):
    preferred = {"dark": 0, "light": 1}[scheme]
    shown = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--hide-scrollbars",
            f"--blink-settings=preferredColorScheme={preferred}",
            "--window-size=1200,3600", f"--screenshot={tmp_path / 'page.png'}", (asked.out / "report.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in shown.stderr
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    assert (pixels[0, 0] < 128).all() == (scheme == "dark")
    for colour in COLOURS[:2]:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        rows = np.flatnonzero((np.abs(pixels - wanted).max(2) <= 3).any(1))
        # from the legend at the top down to the bars of time and memory
        assert rows.max() - rows.min() > 1500
