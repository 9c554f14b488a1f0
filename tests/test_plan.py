"""The route to a codec, with a real teacher: every codec listed, one taken, the dump that follows dumps that."""

import shlex

import pytest

from cache_kd.cli.dump import dump as dump_command
from cache_kd.config import parse_value
from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError, ModelError, SourceError
from cache_kd.plan import METHODS, PlanConfig, PlanResult, plan
from cache_kd.planning.candidates import chosen, label
from cache_kd.store.codec import make_codec


@pytest.fixture(scope="module")
def plan_config(images, teacher_weights):
    """A function that makes a PlanConfig."""

    def make(**changes) -> PlanConfig:
        knobs = {
            "data": str(images), "teacher": "resnet8x0.5", "checkpoint": teacher_weights, "views": 2, "batch_size": 64,
            "device": "cpu", "pilot": 512,
        }  # fmt: skip
        return PlanConfig(**(knobs | changes))

    return make


@pytest.fixture(scope="module")
def found(plan_config) -> PlanResult:
    return plan(plan_config(students=3, epochs=20))


def test_every_codec_has_a_price_or_a_reason(found):
    listed = {price.codec for price in found.prices}
    assert listed | found.refused.keys() == {label(codec) for codec in chosen(None, classes=10)}
    assert not listed & found.refused.keys()
    assert {"float32", "float16", "uint8", "packed"} <= listed
    assert all(found.refused.values())


def test_prices_stand_by_size_and_hold_every_figure_that_is_promised(found):
    sizes = [price.size.total for price in found.prices]
    assert sizes == sorted(sizes)
    assert found.measured_views == 256
    for price in found.prices:
        assert set(price.fidelity.kl) == {1, 2, 4}
        assert set(price.cosines) == set(METHODS)
        assert price.fidelity.rows == 256
        assert label(make_codec(parse_value(price.option))) == price.codec


def test_the_default_takes_the_smallest_that_nobody_could_tell_from_the_teacher(found):
    taken = next(price for price in found.prices if price.codec == found.choice.recommended)
    for price in found.prices:
        good = max(price.fidelity.kl[1], price.fidelity.kl[4]) <= 1e-4 and price.worst_cosine >= 0.999
        assert not (good and 1.01 * price.size.total < taken.size.total)
        assert good or price is not taken
    assert found.verdict.startswith(f"Take {taken.codec}: {taken.size.total:,} bytes")


def test_the_estimate_is_of_this_dump(found):
    assert found.estimate.dump_views == 2 * 512 + 128
    assert found.estimate.live_views == 3 * 20 * 512
    assert found.estimate.live_epoch_seconds == pytest.approx(512 * found.speed.teacher)


def test_the_result_travels_as_json(found):
    again = PlanResult.model_validate_json(found.model_dump_json())
    assert again == found


def test_the_command_asks_for_the_same_dump(plan_config, tmp_path):
    config = plan_config(
        recipe="cifar+cutout",
        seed=3,
        normalise={"mean": [0.5], "std": [0.25]},
        max_kl=1e-4,
        codecs=("uint8",),
        workers=0,
    )
    found = plan(config)
    words = shlex.split(found.command)
    assert words[:2] == ["kdcache", "dump"]
    parsed = dump_command.make_context("dump", words[2:]).params
    assert parsed["codec"] == "uint8"
    assert str(parsed["store"]) == "stores/resnet8x0.5-uint8"
    given = {name: value for name, value in parsed.items() if value is not None and name in DumpConfig.model_fields}
    assert set(given) == {
        "data", "teacher", "checkpoint", "recipe", "seed", "normalise", "views", "batch_size", "device", "workers",
        "codec", "store",
    }  # fmt: skip


def test_a_budget_takes_the_truest_and_says_where_nothing_fits(plan_config, found):
    sizes = {price.codec: price.size.total for price in found.prices}
    few = {"codecs": ("float32", "float16", "uint8"), "pilot": 64}
    assert plan(plan_config(budget_bytes=sizes["float16"], **few)).choice.recommended == "float16"
    nothing = plan(plan_config(budget_bytes=1000, **few))
    assert nothing.command is None
    smallest = min(few["codecs"], key=sizes.get)
    assert nothing.choice.nearest == smallest
    assert f"The nearest is {smallest} with {sizes[smallest]:,} bytes." in nothing.verdict


@pytest.mark.parametrize("codec", ["float32", "float16", "lowrank", "topk", {"name": "packed", "bits": 4}], ids=str)
def test_a_budget_holds_for_the_store_that_is_dumped(plan_config, dump_config, tmp_path, codec):
    (found,) = plan(plan_config(codecs=(codec,), methods=("kd",), recipe="cifar")).prices
    written = dump(dump_config(tmp_path / "store", codec=codec, batch_size=64)).bytes
    assert written <= found.size.total < 1.01 * written


def test_another_temperature_is_measured_too(plan_config):
    found = plan(plan_config(pilot=64, codecs=("uint8",), at_tau=8, max_kl=0.1, methods=("kd", "dkd+normkd")))
    assert set(found.prices[0].fidelity.kl) == {1, 2, 4, 8}
    assert set(found.prices[0].cosines) == {"kd", "dkd+normkd"}


def test_mixed_views_are_measured_with_the_methods_that_read_no_label(plan_config):
    mixed = {"recipe": "cifar+mixup", "pilot": 64, "codecs": ("float16",)}
    assert set(plan(plan_config(**mixed)).prices[0].cosines) == {"kd", "normkd", "dtd", "atkd"}
    with pytest.raises(ConfigError, match="la needs the one label"):
        plan(plan_config(methods=("la",), **mixed))


@pytest.mark.parametrize("suffix", ["png", "svg", "html"])
def test_what_was_found_is_drawn(plan_config, tmp_path, suffix):
    out = tmp_path / "new" / f"plan.{suffix}"
    plan(plan_config(pilot=64, codecs=("float32", "uint8"), methods=("kd",), out=out, max_kl=1e-4))
    content = out.read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}[suffix])
    if suffix == "html":
        page = content.decode()
        assert "► uint8" in page
        assert "kdcache dump" in page
        assert "<script" not in page
        assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
            "http://creativecommons.org", ""
        ).replace("https://matplotlib.org", "")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"codecs": ("uint9",)}, ConfigError, "did you mean 'uint8'"),
        ({"methods": ("kdd",)}, ConfigError, "no method is called 'kdd'"),
        ({"out": "plan.pdf"}, ConfigError, r"found the suffix '.pdf', expected one of .png"),
        ({"data": "nowhere.h5"}, SourceError, "nowhere.h5"),
        ({"teacher": "resnet9"}, ModelError, "resnet9"),
    ],
)
def test_what_cannot_be_planned_is_refused(plan_config, changes, error, words):
    with pytest.raises(error, match=words):
        plan(plan_config(**changes))
