"""A command that is printed gives, typed again, what it was made from."""

import shlex

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_kd.cli.main import main
from cache_kd.comparison.command import compare_command, train_command
from cache_kd.comparison.grid import CompareConfig, cells_of
from cache_kd.config import load

RUNS = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 9),
        # 0.1 is the default, which a command leaves out, but for adamw, which has none
        "optimiser": st.fixed_dictionaries(
            {"lr": st.floats(1e-5, 1) | st.just(0.1)}, optional={"name": st.sampled_from(["sgd", "adamw"])}
        ),
        "device": st.just("cpu"),
        "data": st.fixed_dictionaries({"data": st.sampled_from(["my images.h5", "4", "{x}"])}),
        "live_teacher": st.just({"checkpoint": "w's.safetensors"}),
        "trust": st.just(["a.b:c"]),
    },
)
GRIDS = st.fixed_dictionaries(
    {
        "out": st.sampled_from(["cmp", "my runs/cmp"]),
        "store": st.just(["s/a", "s/b"]),
        "student": st.just(["resnet8", "torchvision:resnet18"]),
        "methods": st.just(["ce", "kd", "dkd+normkd"]),
        "seeds": st.sampled_from([[0], [0, 1, 2], [3], [5, 7]]),
        "vary": st.sampled_from([{}, {"kd.tau": [2.0, {"points": [[1, 8.0], [3, 2.0]]}], "view_schedule": ["first"]}]),
        "live": st.sampled_from([[], ["kd"]]),
        "preset": st.sampled_from([None, "cifar100"]),
        "run": RUNS,
    }
)


@pytest.fixture
def typed(monkeypatch):
    """What the command line makes of a command: the configuration that reaches the route."""

    def run(command: str):
        asked = []

        class Caught(Exception):
            pass

        def route(config, **others):
            asked.append(config)
            raise Caught

        program, *words = shlex.split(command)
        assert program == "kdcache"
        monkeypatch.setattr("cache_kd.train.train", route)
        monkeypatch.setattr("cache_kd.compare.compare", route)
        result = CliRunner().invoke(main, words)
        assert isinstance(result.exception, Caught), result.output
        return asked[0]

    return run


def test_every_run_of_a_grid_is_its_command(typed):
    @settings(max_examples=6)
    @given(GRIDS)
    def law(values):
        for cell in cells_of(load(CompareConfig, None, values))[:4]:
            assert typed(train_command(cell.config)) == cell.config

    law()


def test_a_grid_is_its_command(typed):
    @settings(max_examples=6)
    @given(GRIDS)
    def law(values):
        config = load(CompareConfig, None, values)
        assert cells_of(typed(compare_command(config))) == cells_of(config)

    law()
