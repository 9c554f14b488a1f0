"""Figures of runs become rows, CSV and LaTeX; by hand, and by laws."""

import csv
import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.comparison.grid import Group
from cache_kd.comparison.record import EpochRecord, Record
from cache_kd.comparison.table import (
    FIGURES,
    cells_of_row,
    figures_of,
    headings,
    latex,
    rows_of,
    runs_csv,
    spread_of,
    table_csv,
    table_latex,
)

numbers = st.floats(-1e6, 1e6)


def epoch(accuracy: float | None, agreement: float | None = 0.8, seconds: float = 2.0) -> EpochRecord:
    return EpochRecord(
        accuracy=accuracy, cross_entropy=1.0, agreement=agreement, calibration_error=0.05, label_loss=1.2,
        tau=((4.0,) * 5,), seconds=seconds, step_seconds=seconds / 10, waiting=0.01, peak_bytes=10**9,
    )  # fmt: skip


def record(method: str, seed: int, *epochs: EpochRecord, **group) -> Record:
    described = Group(**{"store": "r20", "student": "resnet8", "method": method} | group)
    return Record(
        name=f"r20-resnet8-{method}-s{seed}", group=described, seed=seed, epochs=epochs, reliability=None,
        store_id="0" * 16, environment={"device": "cpu"},
    )  # fmt: skip


RECORDS = [
    record("kd", 0, epoch(0.5), epoch(0.72), epoch(0.70)),
    record("rld", 0, epoch(0.60), epoch(0.71)),
    record("kd", 1, epoch(0.5), epoch(0.70), epoch(0.74, seconds=8.0)),
]


def test_last_and_best_epoch_are_told_apart_by_hand():
    """kd: last 70 and 74, mean 72, deviation 2 sqrt 2; best 72 and 74."""
    kd, rld = rows_of(RECORDS)
    assert (kd.n, rld.n) == (2, 1)
    assert kd.figures["last_accuracy"].text(2) == "72.00 ± 2.83"
    assert kd.figures["best_accuracy"].text(2) == "73.00 ± 1.41"
    assert rld.figures["last_accuracy"].text(2) == "71.00"
    assert kd.figures["seconds_per_epoch"].mean == 2.0


@given(st.lists(numbers, min_size=2, max_size=9), numbers, st.floats(0.1, 100))
def test_a_spread_moves_and_stretches_with_its_values(values, shift, scale):
    before, after = spread_of(values), spread_of([scale * value + shift for value in values])
    assert after.mean == pytest.approx(scale * before.mean + shift, abs=1e-3)
    assert after.std == pytest.approx(scale * before.std, abs=1e-2, rel=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_the_best_epoch_is_never_below_the_last(accuracies):
    figures = figures_of(record("kd", 0, *map(epoch, accuracies)))
    assert figures["best_accuracy"] >= figures["last_accuracy"]


def test_columns_name_what_tells_rows_apart_and_no_more():
    assert headings(rows_of(RECORDS))[:2] == ("method", "n")
    several = [*RECORDS, record("kd", 0, epoch(0.7), student="resnet20", settings=("tau=2",), teacher="live")]
    assert headings(rows_of(several))[:5] == ("student", "method", "settings", "teacher", "n")
    assert cells_of_row(rows_of(several)[-1], rows_of(several))[:5] == ("resnet20", "kd", "tau=2", "live", "1")
    plain = [*RECORDS, record("ce", 0, epoch(0.6), teacher="none")]
    assert headings(rows_of(plain))[:2] == ("method", "n")


def test_what_nobody_measured_is_not_a_number():
    rows = rows_of([record("kd", 0, epoch(None, agreement=None))])
    assert cells_of_row(rows[0], rows)[2:5] == ("-", "-", "-")
    assert next(csv.DictReader(io.StringIO(table_csv(rows))))["last_accuracy_mean"] == ""
    assert " & -- & " in table_latex(rows)


def test_csv_holds_every_digit():
    lines = list(csv.DictReader(io.StringIO(table_csv(rows_of(RECORDS)))))
    assert [line["method"] for line in lines] == ["kd", "rld"]
    assert float(lines[0]["last_accuracy_std"]) == pytest.approx(2 * math.sqrt(2), rel=1e-12)
    runs = list(csv.DictReader(io.StringIO(runs_csv(RECORDS))))
    assert [(run["method"], run["seed"], float(run["last_accuracy"])) for run in runs] == [
        ("kd", "0", 70.0), ("rld", "0", 71.0), ("kd", "1", 74.0),
    ]  # fmt: skip


def test_latex_is_a_booktabs_table_whose_lines_have_one_cell_for_each_column():
    text = table_latex(rows_of([*RECORDS, record("my_own&kd", 0, epoch(0.5))]))
    columns = re.search(r"\\begin\{tabular\}\{(l+r+)\}", text)[1]
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(columns) == 2 + len(FIGURES)
    assert len(body) == 4
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in body)
    assert r"kd & $2$ & $72.00 \pm 2.83$" in text
    assert r"my\_own\&kd" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"))


@given(st.text(alphabet=r"ab&%$#_{}~^\ "))
def test_escaped_text_holds_no_bare_command(text):
    bare = re.sub(r"\\textbackslash\{\}|\\textasciitilde\{\}|\\textasciicircum\{\}|\\[&%$#_{}]", "", latex(text))
    assert not set(bare) & set(r"&%$#_{}~^\ ".replace(" ", ""))
