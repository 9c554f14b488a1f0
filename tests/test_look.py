"""The page for looking: its samples are what they are said to be, its numbers are right, a browser shows it."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cache_kd.cli.main import main
from cache_kd.distill.divergence import kl
from cache_kd.errors import ConfigError
from cache_kd.look import look, margin
from cache_kd.look_page import data_uri, percent, write_page
from cache_kd.methods import make_method, names
from cache_kd.methods.jsd import jensen_shannon
from cache_kd.store.reader import Reader
from cache_kd.targets import caption_of, pull_of, target_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def page(stores, tmp_path_factory):
    """Where a page with all methods lies."""
    return tmp_path_factory.mktemp("pages") / "look.html"


@pytest.fixture(scope="module")
def seen(stores, page):
    return look(stores["float32"], out=page, samples=2)


@pytest.fixture(scope="module")
def stored(stores):
    """Logits of view 0 and labels, straight from the reader."""
    reader = Reader.open(stores["float32"])
    labels = reader.labels("train")
    return reader.view("train", 0).rows(np.arange(len(labels))), labels


@pytest.fixture(scope="module")
def batch():
    """64 rows of 10 classes; on the first the label is the teacher's last."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(64, 10, generator=generator).double()
    labels = torch.randint(10, (64,), generator=generator)
    labels[0] = logits[0].argmin()
    return logits, labels


def test_a_composition_is_a_method_like_any_other(stores, tmp_path):
    seen = look(stores["float32"], out=tmp_path / "look.html", samples=1, methods=["normkd", "dkd+normkd"])
    alone, composed = seen.samples[0].methods
    assert composed.reference == "Zhao et al., CVPR 2022 (arXiv 2203.08679); Chi et al., 2023 (arXiv 2308.00520)"
    assert composed.needs == "all logits, the label"
    assert {term.tau for term in composed.terms} == {alone.terms[0].tau}


def test_every_kind_of_sample_is_what_it_says(seen, stored):
    logits, labels = stored
    of_kind = {kind: [sample.number for sample in seen.samples if sample.kind == kind] for kind in seen.kinds}
    assert all(len(numbers) == 2 for numbers in of_kind.values())
    assert len({sample.number for sample in seen.samples}) == 8
    right = logits.argmax(1) == labels
    assert right[of_kind["teacher right"]].all()
    assert not right[of_kind["teacher wrong"]].any()
    margins = margin(torch.from_numpy(logits).double())
    assert set(of_kind["most confusing"]) == set(margins.argsort()[:2].tolist())
    assert seen.right == pytest.approx(right.mean())


def test_the_teacher_is_shown_as_it_is_stored(seen, stored):
    logits, labels = stored
    for sample in seen.samples:
        likely = torch.from_numpy(logits[sample.number]).double().softmax(0)
        assert [share.value for share in sample.teacher] == pytest.approx(likely[_numbers(sample.teacher)].tolist())
        assert sample.views[0].right == (likely.argmax() == labels[sample.number])
        assert [share.number for share in sample.teacher if share.label] == [labels[sample.number]]
        assert len(sample.views) == 2


def test_kd_is_the_softmax_at_temperature_4(seen, stored):
    logits, _ = stored
    for sample in seen.samples:
        (term,) = next(method for method in sample.methods if method.name == "kd").terms
        expected = torch.from_numpy(logits[sample.number]).double().div(4).softmax(0)
        assert term.tau == 4
        assert term.gain == 16
        assert [share.value for share in term.shares] == pytest.approx(expected[_numbers(term.shares)].tolist())
        assert term.entropy == pytest.approx(-(expected * expected.log()).sum().item())
        assert term.effective == pytest.approx(np.exp(term.entropy))


def test_rld_leaves_out_the_classes_from_the_label_up(batch):
    logits, labels = batch
    target = target_of(make_method("rld").terms[1], logits, labels, name="rld")
    above = logits >= logits.gather(1, labels[:, None])
    # one class alone has nothing to be compared with
    nothing = (~above).sum(1) < 2
    assert nothing[0]
    assert torch.equal(target.left_out, above | nothing[:, None])
    assert (target.probabilities[target.left_out] == 0).all()
    torch.testing.assert_close(target.probabilities.sum(1), (~nothing).double())


def test_dkd_leaves_out_the_label_among_the_others(batch):
    logits, labels = batch
    target = target_of(make_method("dkd").terms[1], logits, labels, name="dkd")
    assert torch.equal(target.left_out, torch.nn.functional.one_hot(labels, 10).bool())


@pytest.mark.parametrize("name", names())
def test_every_method_has_finite_targets_and_pushes_something(name, batch):
    logits, labels = batch
    method = make_method(name)
    for term in method.terms:
        target = target_of(term, logits, labels, name=name)
        total = target.probabilities.sum(1)
        assert torch.isfinite(target.probabilities).all()
        assert ((total - 1).abs() < 1e-9).logical_or(target.left_out.all(1)).all()
    pull = pull_of(method, logits, labels)
    assert torch.isfinite(pull).all()
    assert pull.abs().amax() > 0


def test_kd_pulls_from_even_odds_towards_its_target(batch):
    logits, labels = batch
    # the gain is tau^2 = 16, and the derivative of s / tau is 1 / 4
    expected = 4 * ((logits / 4).softmax(1) - 0.1)
    torch.testing.assert_close(pull_of(make_method("kd"), logits, labels), expected)


def test_terms_over_the_batch_are_counted_apart(seen):
    methods = {method.name: method for method in seen.samples[0].methods}
    assert [len(methods["mlld"].terms), len(methods["mlld"].of_batch)] == [5, 10]
    assert [len(methods["dist"].terms), len(methods["dist"].of_batch)] == [1, 1]
    assert methods["dtd"].reads_student
    assert not methods["kd"].reads_student
    assert methods["uskd"].terms[0].of_student


def test_captions_are_the_first_line_of_a_docstring():
    assert caption_of(kl, otherwise="kd") == "KL(teacher || student)."
    assert caption_of(jensen_shannon(0.5), otherwise="jsd").startswith("beta KL(teacher || mixture)")
    assert caption_of(lambda student, teacher, labels: student[:, 0], otherwise="mine") == "mine"


def test_the_page_loads_nothing_and_runs_nothing(seen, page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|<script|<link|<iframe|@import|url\(|\son\w+=", text)
    sources = re.findall(r'(?:src|href)="([^"]{1,30})', text)
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert text.count("<img ") == sum(len(sample.views) for sample in seen.samples)


def test_names_of_classes_are_escaped(stores, images, tmp_path):
    evil = '<script>alert("1")</script>'
    renamed = tmp_path / "renamed.h5"
    shutil.copy(images, renamed)
    with h5py.File(renamed, "r+") as file:
        file.attrs["classes"] = [f"{evil}{number}" for number in range(10)]
    look(stores["float32"], out=tmp_path / "look.html", methods=["kd"], data=str(renamed))
    text = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert evil not in text
    assert "&lt;script&gt;alert(" in text
    assert evil in html.unescape(text)


def test_the_same_seed_makes_the_same_page(stores, seen, page, tmp_path):
    again = tmp_path / "again.html"
    assert look(stores["float32"], out=again, samples=2).numbers() == seen.numbers()
    assert again.read_bytes() == page.read_bytes()
    other = look(stores["float32"], out=again, samples=2, seed=1)
    assert [sample.number for sample in other.samples] != [sample.number for sample in seen.samples]


def test_a_large_picture_is_made_smaller_and_a_grey_one_stays_grey():
    assert len(data_uri(np.zeros((1000, 500, 3), dtype=np.uint8))) < 2000
    assert data_uri(np.zeros((8, 8, 1), dtype=np.uint8)).startswith("data:image/png;base64,")


@pytest.mark.parametrize(("value", "words"), [(1.0, "100 %"), (0.0, "0 %"), (0.0996, "10 %"), (0.00996, "1.0 %")])
def test_percentages_have_the_digits_that_matter(value, words):
    assert percent(value) == words


def test_the_command_takes_a_method_of_ones_own(stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "looked_at.py").write_text(
        "from cache_kd.methods import make_method\n\ndef soft():\n    return make_method('kd', tau=20.0)\n"
    )
    result = CliRunner().invoke(main, ["look", str(stores["float16"]), "--methods", "looked_at:soft,rld", "--json"])
    assert result.exit_code == 0
    numbers = json.loads(result.stdout)
    mine, rld = numbers["samples"][0]["methods"]
    assert mine["name"] == "looked_at:soft"
    assert mine["terms"][0]["tau"] == 20
    assert rld["name"] == "rld"
    assert (tmp_path / "look.html").stat().st_size > 10_000


def test_a_folder_is_no_place_for_the_page(stores, tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder.*--out .*look\.html"):
        look(stores["float32"], out=tmp_path)


def test_an_unknown_method_is_named_before_the_store_is_read(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'normkd'"):
        look(tmp_path / "nowhere", methods=["nromkd"])


def test_a_kind_without_samples_is_said(seen, tmp_path):
    write_page(tmp_path / "look.html", replace(seen, kinds={**seen.kinds, "teacher wrong": 0}))
    assert 'No sample of the kind "teacher wrong" was found' in (tmp_path / "look.html").read_text(encoding="utf-8")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_shows_every_picture_and_heading(seen, page, tmp_path):
    # the page itself runs nothing: this copy counts for us
    counting = "document.body.dataset.decoded = [...document.images].filter(image => image.naturalWidth > 0).length"
    copy = tmp_path / "copy.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>onload = () => {{ {counting} }}</script></body>"), "utf-8")
    shown = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", "--dump-dom", copy.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert f'data-decoded="{sum(len(sample.views) for sample in seen.samples)}"' in shown
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", shown)
    assert headings == ["Teacher right", "Teacher wrong", "Most confusing", "At random", "Where it comes from"]
    assert shown.count("<details") == len(seen.samples) * len(names())


def _numbers(shares):
    return [share.number for share in shares]
