"""`kdcache plan`: two tables, the arithmetic, a command that can be pasted; exit code 1 where nothing fits."""

import json
import re
import shlex

import pytest

from cache_kd.dump import DumpResult
from cache_kd.planning.candidates import chosen, label


@pytest.fixture
def words(images, teacher_weights):
    """What a user types to plan a dump of the small teacher."""
    return ("plan", "--data", images, "--teacher", "resnet8x0.5", "--checkpoint", teacher_weights, "--pilot", 64,
            "--views", 2, "--device", "cpu")  # fmt: skip


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")


def test_a_plan_lists_every_codec_and_ends_in_a_command_that_dumps_what_it_says(kdcache, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = kdcache(*words, "--methods", "kd, rld", "--max-kl", 1e-3)
    assert code == 0
    assert "is asked about 64 views" in err
    assert all(re.search(rf"[ ,]{re.escape(label(codec))}[ ,:]", out) for codec in chosen(None, classes=10))
    assert "KL T=4" in out
    assert re.search(r"codec +┃ +std err ┃ +kd ┃ +rld ┃", out)
    assert "The dump asks the teacher 1,152 times" in out
    command = out.strip().splitlines()[-1]
    code, printed, _ = kdcache(*shlex.split(command)[1:], "--json")
    assert code == 0
    dumped = DumpResult.model_validate_json(printed)
    assert dumped.views == 2
    planned = int(re.search(r"Take .*: ([\d,]+) bytes", out)[1].replace(",", ""))
    assert 0.99 * planned < dumped.bytes <= planned


def test_a_script_reads_every_figure(kdcache, words):
    code, out, _ = kdcache(*words, "--json", "--methods", "kd")
    assert code == 0
    found = json.loads(out)
    assert set(found) == {
        "wish", "at_tau", "measured_views", "prices", "refused", "choice", "speed", "estimate", "command",
        "environment",
    }  # fmt: skip
    assert set(found["prices"][0]) == {"codec", "option", "size", "gzip_per_view", "fidelity", "cosines"}
    assert set(found["prices"][0]["size"]) == {"total", "per_view"}
    assert found["choice"]["recommended"] in {price["codec"] for price in found["prices"]}
    assert found["command"].startswith("kdcache dump --data ")


@pytest.mark.parametrize("budget", ["1kB", "0.001 MB", "1000"])
def test_where_nothing_fits_the_table_is_shown_and_the_code_is_1(kdcache, words, budget):
    code, out, err = kdcache(*words, "--budget-bytes", budget, "--methods", "kd")
    assert code == 1
    assert "KL T=1" in out
    assert "kdcache dump" not in out
    assert "No codec meets the wish: at most 1,000 bytes in all" in err
    assert "The nearest is" in err


def test_a_narrow_terminal_shows_every_column(kdcache, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out = kdcache(*words, "--methods", "kd,rld")[1]
    assert max(map(len, out.partition("► recommended")[0].splitlines())) <= 60
    assert "…" not in out


@pytest.mark.parametrize(
    ("more", "words_of_error"),
    [
        (("--budget-bytes", "much"), "is no size"),
        (("--max-kl", "-1"), "max_kl"),
        (("--out", "."), "is a folder"),
        (("--budget-bytes", "9" * 400), "budget_bytes"),
        (("--budget-bytes", "9" * 300 + "TB"), "budget_bytes"),
        (("--at-tau", 10**30), "at_tau"),
        (("--epochs", "9" * 400), "epochs"),
        (("--students", "9" * 400), "students"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(kdcache, words, more, words_of_error):
    code, _, err = kdcache(*words, *more)
    assert code in (1, 2)
    assert words_of_error in err


def test_what_is_missing_is_a_usage_error(kdcache):
    code, _, err = kdcache("plan", "--data", "x.h5")
    assert code == 2
    assert "--teacher" in err
