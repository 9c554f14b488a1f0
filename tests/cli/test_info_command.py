"""`kdcache info`: what the codec of a store costs its teacher, and what is not known of one that is unfinished."""

import json

from cache_kd.inspection import PAPERS


def test_info_says_what_a_codec_costs_and_says_nothing_of_one_that_costs_nothing(kdcache, stores):
    shown = "".join(kdcache("info", stores["float16"])[1].replace("│", " ").split())
    assert "top-1keptin" in shown
    assert "kd1.0000,normkd1.0000" in shown
    cosines = json.loads(kdcache("info", stores["float16"], "--json")[1])["gradient_cosines"]
    assert list(cosines) == list(PAPERS)
    assert all(cosine > 0.999 for cosine in cosines.values())
    assert "gradients" not in kdcache("info", stores["float32"])[1]


def test_info_of_an_unfinished_store_says_why_figures_are_lacking(kdcache, own_store):
    for record in (own_store / "done").glob("test.0.*"):
        record.unlink()
    shown = "".join(kdcache("info", own_store)[1].replace("│", " ").split())
    assert "unknown:thedumphasnotfinished" in shown
    assert "bytesperview" not in shown
    seen = json.loads(kdcache("info", own_store, "--json")[1])
    assert (seen["bytes_per_view"], seen["teacher_accuracy"]) == (None, None)
    assert 0 < seen["complete"] < 1
