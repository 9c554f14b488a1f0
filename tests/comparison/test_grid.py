"""The grid is a pure function of its configuration."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_kd.comparison.grid import CompareConfig, cells_of, differences
from cache_kd.config import load
from cache_kd.errors import ConfigError


def grid(**changes) -> CompareConfig:
    knobs = {"out": "cmp", "store": ["stores/r20"], "student": ["resnet8"], "methods": ["ce", "kd"], "seeds": [0]}
    return load(CompareConfig, None, knobs | changes)


METHODS = ("ce", "kd", "dkd+normkd", "rld", "uskd")
STUDENTS = ("resnet8", "torchvision:resnet18")
some = st.fixed_dictionaries(
    {
        "methods": st.lists(st.sampled_from(METHODS), min_size=1, unique=True),
        "student": st.lists(st.sampled_from(STUDENTS), min_size=1, unique=True),
        "store": st.lists(st.sampled_from(("s/a", "s/b")), min_size=1, unique=True),
        "seeds": st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
    }
)


@settings(max_examples=20)
@given(some)
def test_a_grid_has_one_cell_for_each_combination_and_all_names_differ(axes):
    cells = cells_of(grid(**axes))
    found = [(cell.config.seed, *cell.config.store, cell.config.student, cell.group.method) for cell in cells]
    assert found == list(product(axes["seeds"], map(Path, axes["store"]), axes["student"], axes["methods"]))
    assert len({cell.name for cell in cells}) == len(cells)
    assert all(cell.config.out == Path("cmp/runs") / cell.name and "/" not in cell.name for cell in cells)


@settings(max_examples=20)
@given(some, some)
def test_a_grown_grid_holds_the_cells_of_the_smaller_one(axes, more):
    grown = {key: [*values, *(value for value in more[key] if value not in values)] for key, values in axes.items()}
    after = {cell.name: cell for cell in cells_of(grid(**grown))}
    assert all(after[cell.name] == cell for cell in cells_of(grid(**axes)))


def test_all_cells_of_one_seed_come_before_the_next():
    cells = cells_of(grid(seeds=[4, 2], methods=["ce", "kd"]))
    assert [cell.name for cell in cells] == [
        "r20-resnet8-ce-s4", "r20-resnet8-kd-s4", "r20-resnet8-ce-s2", "r20-resnet8-kd-s2",
    ]  # fmt: skip


def test_a_knob_is_varied_where_its_method_is_and_nowhere_else():
    vary = {"kd.tau": [2.0, 4.0], "normkd.tau": [1.5], "dkd.beta": [6.0], "dkd.soft_weight": [0.5]}
    cells = cells_of(grid(methods=["ce", "kd", "dkd+normkd"], vary=vary))
    assert [cell.group.label for cell in cells] == [
        "ce", "kd tau=2", "kd tau=4", "dkd+normkd tau=1.5 beta=6 soft_weight=0.5",
    ]  # fmt: skip
    assert [cell.config.knobs for cell in cells] == [{}, {"tau": 2.0}, {"tau": 4.0}, {"beta": 6.0}]
    assert cells[3].config.temperature_knobs == {"tau": 1.5}
    assert cells[3].config.soft_weight == 0.5


def test_a_key_of_the_run_is_varied_in_every_cell():
    cells = cells_of(grid(vary={"views": [1, 4], "optimiser.lr": [0.1]}, run={"optimiser": {"momentum": 0.8}}))
    assert [(cell.config.views, cell.group.label) for cell in cells] == [
        (1, "ce views=1 optimiser.lr=0.1"),
        (4, "ce views=4 optimiser.lr=0.1"),
        (1, "kd views=1 optimiser.lr=0.1"),
        (4, "kd views=4 optimiser.lr=0.1"),
    ]
    assert all((cell.config.optimiser.lr, cell.config.optimiser.momentum) == (0.1, 0.8) for cell in cells)


def test_varied_values_may_be_nested_as_toml_writes_them():
    assert grid(vary={"kd": {"tau": [2.0]}}).vary == {"kd.tau": (2.0,)}


def test_a_course_has_a_short_name_of_its_own():
    first, second = ({"points": [[1, tau], [9, 2.0]]} for tau in (8.0, 4.0))
    names = [cell.name for cell in cells_of(grid(methods=["kd"], vary={"kd.tau": [first, second]}))]
    assert len(set(names)) == 2
    assert all(len(name) == len("r20-resnet8-kd-tau=01234567-s0") for name in names)


def test_only_what_asks_a_teacher_runs_with_the_live_one():
    cells = cells_of(grid(methods=["ce", "kd", "uskd"], live=["ce", "kd", "uskd"]))
    assert [(cell.name, cell.group.teacher) for cell in cells] == [
        ("r20-resnet8-ce-s0", "none"),
        ("r20-resnet8-kd-s0", "cached"),
        ("r20-resnet8-kd-live-s0", "live"),
        ("r20-resnet8-uskd-s0", "none"),
    ]
    assert [cell.config.live_teacher is not None for cell in cells] == [False, False, True, False]
    assert cells[2].group.cached == cells[1].group


def test_where_the_live_teacher_lies_is_said_to_live_cells_only():
    run = {"live_teacher": {"checkpoint": "w.safetensors"}}
    cached, live = cells_of(grid(methods=["kd"], live=["kd"], run=run))
    assert cached.config.live_teacher is None
    assert live.config.live_teacher.checkpoint == Path("w.safetensors")


def test_the_authors_numbers_are_asked_for_of_methods_alone():
    plain, kd = cells_of(grid(run={"published": "cifar"}))
    assert (plain.config.published, kd.config.published) == (None, "cifar")


def test_a_preset_is_below_what_all_runs_have_and_knows_its_students():
    usual, light = cells_of(
        grid(methods=["kd"], student=["resnet8x4", "MobileNetV2"], preset="cifar100", run={"epochs": 3})
    )
    assert (usual.config.epochs, usual.config.batch_size) == (3, 64)
    assert (usual.config.optimiser.lr, light.config.optimiser.lr) == (0.05, 0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["kd", "kd"]}, "r20-resnet8-kd-s0 would be the name of two runs"),
        ({"store": ["a/r20", "b/r20"]}, "two stores have folders of one name"),
        ({"methods": ["nromkd"]}, "did you mean 'normkd'"),
        ({"methods": ["kd+kd"]}, "kd can lend no role"),
        ({"vary": {"kd.tua": [1.0]}}, "kd has no knob 'tua'; did you mean 'tau'"),
        ({"vary": {"rld.tau": [1.0]}}, "--vary rld.tau belongs to no method here"),
        ({"vary": {"epohcs": [1]}}, "did you mean 'epochs'"),
        ({"vary": {"seed": [1, 2]}}, "that is what --seeds lists"),
        ({"vary": {"kd.tau": []}}, "kd.tau has no values"),
        ({"vary": {"epochs": [0]}}, "epochs: Input should be greater than or equal to 1"),
        ({"run": {"seed": 3}}, "'seed' is the grid's to set, for every run another; use --seeds"),
        ({"run": {"epohcs": 3}}, "did you mean 'epochs'"),
        ({"live": ["rld"]}, "--live names 'rld', which is not among the methods"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        cells_of(grid(**changes))


@pytest.mark.parametrize(
    ("changes", "spelled"),
    [
        ({"vary": {"knobs.tau": [2, 4.5]}}, "--vary kd.tau=2,4.5."),
        ({"vary": {"knobs.tau": [2]}, "methods": ["kd", "mlld"]}, "--vary kd.tau=2 or --vary mlld.tau=2."),
        ({"vary": {"temperature_knobs.tau": [1.5]}, "methods": ["ce", "dkd+normkd"]}, "--vary normkd.tau=1.5."),
        ({"vary": {"soft_weight": [0.5, 1]}}, "--vary kd.soft_weight=0.5,1."),
        ({"vary": {"knobs.tau": [{"points": [[1, 8.0], [9, 2.0]]}]}}, '--vary kd.tau=[{"points":[[1,8.0],[9,2.0]]}].'),
        ({"run": {"knobs": {"tau": 4}}}, "--vary kd.tau=4."),
        ({"run": {"knobs": {"tau": 4}}, "methods": ["ce"]}, "as in --vary kd.tau=2,4."),
        ({"vary": {"knobs": [{"tau": 4}]}}, "as in --vary kd.tau=2,4."),
    ],
)
def test_a_number_of_one_method_among_several_is_refused_with_the_spelling_that_names_its_method(changes, spelled):
    with pytest.raises(ConfigError, match="belongs to one method, and --methods names ") as refused:
        cells_of(grid(**changes))
    assert str(refused.value).endswith(spelled)


def test_the_number_of_the_only_method_needs_no_name_of_it_nor_does_what_all_methods_have():
    (cell,) = cells_of(grid(methods=["kd"], vary={"knobs.tau": [2.0]}))
    assert cell.config.knobs == {"tau": 2.0}
    shared = cells_of(grid(methods=["kd", "dkd"], vary={"soft_weight": [0.5]}, run={"knobs": {}, "hard_weight": 1.0}))
    assert [(cell.config.soft_weight, cell.config.hard_weight) for cell in shared] == [(0.5, 1.0)] * 2


def test_a_run_differs_by_what_decides_its_numbers():
    (asked,) = (cell.config for cell in cells_of(grid(methods=["kd"], run={"epochs": 3, "knobs": {"tau": 4.0}})))
    other = asked.model_copy(update={"epochs": 2, "knobs": {"tau": 2.0}, "workers": 3, "out": Path("elsewhere")})
    assert differences(asked, other) == {"epochs": (2, 3), "knobs.tau": (2.0, 4.0)}
    assert not differences(asked, asked)


def test_weights_are_the_same_from_wherever_they_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = {"live_teacher": {"checkpoint": "w.safetensors"}}
    _, near = (cell.config for cell in cells_of(grid(methods=["kd"], live=["kd"], run=run)))
    far = near.model_copy(
        update={"live_teacher": near.live_teacher.model_copy(update={"checkpoint": tmp_path / "w.safetensors"})}
    )
    assert not differences(near, far)


def test_what_a_run_decided_for_itself_is_no_difference():
    (asked,) = (cell.config for cell in cells_of(grid(methods=["kd"])))
    decided = asked.model_copy(update={"order": asked.order.model_copy(update={"window": 0})})
    assert not differences(asked, decided)
    assert differences(decided, asked) == {"order.window": (None, 0)}


def test_a_store_is_the_same_from_wherever_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (near,) = (cell.config for cell in cells_of(grid(methods=["kd"])))
    far = near.model_copy(update={"store": (tmp_path / "stores" / "r20",)})
    assert not differences(near, far)
