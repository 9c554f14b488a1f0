"""`kdcache info`: what the codec of a store costs its teacher."""

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
