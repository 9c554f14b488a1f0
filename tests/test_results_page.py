"""docs/results.md is filled from finished runs and from nothing else: real ones of the size of a thumbnail."""

import importlib
import json
import re
import shlex
import shutil
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cache_kd.comparison.grid import CompareConfig, cells_of
from cache_kd.errors import ConfigError
from cache_kd.train import train

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "experiments"))
finished, results_page, results_tables = map(
    importlib.import_module, ("finished", "results_page", "results_tables")
)  # they are scripts beside each other, no package

PAGE = ROOT / "docs" / "results.md"
UNTIMED = re.compile(r"\d+\.\d+ ± \d+\.\d+")


def block(page: Path, name: str) -> list[str]:
    """The lines of a place of the page."""
    return next(text for _, found, text in places(page) if found == name).strip().splitlines()


def places(page: Path) -> list[tuple[str, str, str]]:
    return re.findall(r"(<!-- table: ([a-z0-9 -]+) -->\n)(.*?)<!-- end -->", page.read_text("utf-8"), re.DOTALL)


def row(page: Path, name: str, first: str) -> list[str]:
    """The cells of the row that begins with `first`."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block(page, name) if line[0] == "|"]
    return next(cells for cells in rows if cells[0] == first)


def filled_page(folder: Path, results: Path) -> Path:
    page = folder / "results.md"
    shutil.copy(PAGE, page)
    results_page.write_page(results, page)
    return page


@pytest.fixture(scope="module")
def results(stores, tmp_path_factory) -> Path:
    """Two seeds of each side of the same experiment, and of two methods; a third seed of kd has begun."""
    root = tmp_path_factory.mktemp("cifar") / "results"
    recipe = {"epochs": 2, "batch_size": 128, "device": "cpu", "log_steps": 1, "optimiser": {"lr": 0.02}}
    for part, store, methods, live in (
        ("same-float32", "float32", ("kd",), ("kd",)),
        ("same-float16", "float16", ("kd",), ()),
        ("methods", "float16", ("ce",), ()),
    ):
        grid = CompareConfig(out=root / part, store=(stores[store],), student=("resnet8x0.5",), methods=methods,
                             seeds=(0, 1), live=live, run=recipe)  # fmt: skip
        for cell in cells_of(grid):
            train(cell.config)
    for seed in ("s0", "s1"):
        name = f"runs/float16-resnet8x0.5-kd-{seed}"
        shutil.copytree(root / "same-float16" / name, root / "methods" / name)
    begun = root / "methods" / "runs" / "float16-resnet8x0.5-kd-s2"
    shutil.copytree(begun.with_name("float16-resnet8x0.5-kd-s1"), begun)
    (begun / "summary.json").unlink()
    return root


@pytest.fixture(scope="module")
def page(results, tmp_path_factory) -> Path:
    return filled_page(tmp_path_factory.mktemp("docs"), results)


def summaries(results: Path, pattern: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(results.glob(f"{pattern}/summary.json"))]


def test_a_row_is_the_mean_of_its_finished_runs(page, results):
    accuracies = [100 * one["accuracy"] for one in summaries(results, "methods/runs/*-kd-s*")]
    assert len(accuracies) == 2
    cells = row(page, "methods", "kd")
    assert cells[1] == "2 of 3"
    assert cells[2] == f"{statistics.fmean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}"


def test_a_difference_is_paired_by_seed(page, results):
    ce, kd = (
        [100 * one["accuracy"] for one in summaries(results, f"methods/runs/*-{method}-s*")] for method in ("ce", "kd")
    )
    apart = [a - b for a, b in zip(ce, kd, strict=True)]
    expected = f"{statistics.fmean(apart):+.2f} ± {statistics.stdev(apart) / 2**0.5:.2f} (n = 2)"
    assert row(page, "methods", "ce")[-1] == expected


def test_the_best_is_on_top_and_what_has_not_run_below(page):
    rows = [line.strip("| ").split(" | ") for line in block(page, "methods") if line[0] == "|"][2:]
    means = [float(cells[2].split()[0]) for cells in rows if cells[1] != "0"]
    assert len(means) == 2
    assert means == sorted(means, reverse=True)
    assert all(cells[2] == "not run" for cells in rows[2:])


def test_the_difference_of_the_losses_is_that_of_the_logs(page, results):
    def losses(name: str) -> list[float]:
        lines = (results / name / "metrics.jsonl").read_text().splitlines()
        return [line["loss"] for line in map(json.loads, lines) if "step" in line]

    live = losses("same-float32/runs/float32-resnet8x0.5-kd-live-s1")
    cached = losses("same-float16/runs/float16-resnet8x0.5-kd-s1")
    apart = [abs(ours - theirs) / theirs for ours, theirs in zip(cached, live, strict=True)]
    rows = [line.strip("| ").split(" | ") for line in block(page, "same loss")]
    cells = next(cells for cells in rows if cells[:2] == ["cached, float16", "1"])
    assert cells[2] == "8"
    assert cells[4] == f"{apart[0]:.1e}"
    assert cells[5] == f"{max(apart[:10]):.1e} / {statistics.fmean(apart[:10]):.1e}"
    assert cells[7] == f"{max(apart):.1e} / {statistics.fmean(apart):.1e}"
    assert cells[8] == "others"


def test_a_float32_store_starts_with_the_live_loss_and_a_float16_one_within_its_rounding(results):
    comparisons = finished.read_comparisons(results)
    live = comparisons["same-float32"]
    for codec, least, most in (("float32", 0.0, 1e-6), ("float16", 1e-9, 1e-3)):
        for one in finished.apart(comparisons[f"same-{codec}"], live).values():
            assert least <= one.losses[0] <= most


def test_nothing_is_invented_where_nothing_has_run(tmp_path):
    page = filled_page(tmp_path, tmp_path / "nowhere")
    for _, name, text in places(page):
        assert "commands" in name or "not run" in text.lower() or name == "runs", name
        assert not UNTIMED.search(text)
    assert not list(tmp_path.glob("pictures/*"))


def test_no_number_outlives_its_run(page, tmp_path):
    shutil.copytree(page.parent, tmp_path / "docs")
    again = tmp_path / "docs" / "results.md"
    assert UNTIMED.search(again.read_text())
    results_page.write_page(tmp_path / "nowhere", again)
    (tmp_path / "empty").mkdir()
    assert again.read_bytes() == filled_page(tmp_path / "empty", tmp_path / "nowhere").read_bytes()
    assert not list(again.parent.glob("pictures/*"))


def test_equal_runs_give_equal_pages_and_pictures(page, results, tmp_path):
    again = filled_page(tmp_path, results)
    assert again.read_bytes() == page.read_bytes()
    for picture in (page.parent / "pictures").iterdir():
        assert picture.read_bytes() == (tmp_path / "pictures" / picture.name).read_bytes()


def test_curves_are_means_over_the_same_seeds(results):
    comparisons = finished.read_comparisons(results)
    live, cached = (comparisons["same-float32"].of(teacher=teacher) for teacher in ("live", "cached"))
    shown = results_page._of_common_seeds({"live": live[1:], "float32": cached, "float16": []})
    assert {label: [record.seed for record in records] for label, records in shown.items()} == {
        "live": [1], "float32": [1], "float16": []
    }  # fmt: skip


def test_what_lies_between_the_tables_stays(page):
    def words(text: str) -> str:
        return results_page.PLACE.sub(r"\1\3", text)

    assert words(page.read_text("utf-8")) == words(PAGE.read_text("utf-8"))


def test_the_pictures_are_shown_and_say_what_they_are(page):
    shown = re.findall(r"!\[(.+)\]\((pictures/.+\.svg)\)", page.read_text("utf-8"))
    assert len(shown) == 2
    for title, path in shown:
        drawn = ElementTree.parse(page.parent / path).getroot()
        assert drawn.get("aria-label") == title
        assert drawn.get("width")
        text = (page.parent / path).read_text()
        assert "nan" not in text.lower()
        assert set(re.findall(r"var\((--\w+)\)", text)) <= set(re.findall(r"(--\w+):#", text))


@pytest.mark.parametrize("marker", ["<!-- table: method -->\n<!-- end -->", ""])
def test_a_place_without_a_table_and_a_table_without_a_place_are_refused(marker):
    with pytest.raises(ConfigError, match="methods"):
        results_page.filled(marker, {"methods": "| a |"})


def test_the_verdict_needs_all_seeds_and_counts_the_seeds(results):
    found = finished.read_comparisons(results)["methods"]
    assert "Against KD" not in results_tables.methods(found)
    kd = found.of(method="kd")[0]

    def runs(method: str, accuracies: tuple[float, ...]) -> list:
        group = replace(kd.group, method=method)
        return [
            replace(kd, seed=seed, group=group, epochs=(replace(kd.last, accuracy=accuracy),))
            for seed, accuracy in enumerate(accuracies)
        ]

    # apart by 3.0 ± 0.1, -2.0 ± 0.6 and -2.1 ± 0.1 (standard errors); 4.30 of them are needed
    records = (
        runs("kd", (0.30, 0.40, 0.50))
        + runs("rld", (0.328, 0.43, 0.532))
        + runs("la", (0.29, 0.38, 0.47))
        + runs("ce", (0.28, 0.378, 0.479))
    )
    table = results_tables.methods(replace(found, records=tuple(records)))
    said = " ".join(table.split("\n\n")[1].split())
    assert "above KD rld; below it ce; not to be told apart la." in said


def test_the_commands_of_the_page_are_those_of_the_experiment():
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    said = [shlex.split(line.removeprefix("OMP_NUM_THREADS=1 ")) for line in lines]
    assert said == [["kdcache", *words] for _, words in finished.commands_as_run()]


def test_every_option_of_the_commands_exists():
    from cache_kd.cli.main import main

    for _, words in finished.commands_as_run():
        options = {name for option in main.commands[words[0]].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE.read_text("utf-8")))))
def test_every_link_of_the_page_leads_somewhere(link):
    assert (PAGE.parent / link).exists()
