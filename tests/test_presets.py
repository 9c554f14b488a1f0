"""Presets: the numbers of the literature, and what stands above what."""

import json

import pytest
from click.testing import CliRunner

from cache_kd.cli.main import main
from cache_kd.comparison.grid import CompareConfig, cells_of
from cache_kd.config import build
from cache_kd.errors import ConfigError
from cache_kd.models.zoo import names as models
from cache_kd.optimiser import Optimiser
from cache_kd.presets import names, preset_named
from cache_kd.schedule import Schedule
from cache_kd.train_config import TrainConfig


@pytest.mark.parametrize("name", names())
def test_every_preset_is_part_of_a_configuration(name, images, tmp_path):
    needed = {"student": "resnet8", "out": tmp_path, "data": {"data": str(images)}}
    config = build(TrainConfig, preset_named(name).beneath(needed, "resnet8"))
    assert config.schedule.warmup_epochs < config.epochs
    assert all(milestone < config.epochs for milestone in config.schedule.milestones)


def test_cifar100_is_the_recipe_of_the_literature():
    values = preset_named("cifar100").values("resnet8x4")
    assert (values["epochs"], values["batch_size"]) == (240, 64)
    assert values["optimiser"] | values["schedule"] == {
        "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": False,
        "name": "step", "milestones": [150, 180, 210], "gamma": 0.1, "warmup_epochs": 0,
    }  # fmt: skip


@pytest.mark.parametrize("student", ["MobileNetV2", "ShuffleV1", "ShuffleV2", "shufflev2"])
def test_light_students_learn_slower(student):
    assert preset_named("cifar100").values(student)["optimiser"]["lr"] == 0.01
    assert preset_named("cifar100").values(student)["optimiser"]["momentum"] == 0.9


def test_students_that_are_trained_otherwise_are_models_of_the_zoo():
    for name in names():
        assert {student for other in preset_named(name).students for student in other.names} <= set(models())


def test_imagenet_is_the_recipe_of_the_literature():
    values = preset_named("imagenet").values(None)
    assert (values["epochs"], values["batch_size"]) == (100, 512)
    assert (values["optimiser"]["lr"], values["optimiser"]["weight_decay"]) == (0.2, 1e-4)
    assert values["schedule"]["milestones"] == [30, 60, 90]


def test_an_option_stands_above_a_file_and_a_file_above_a_preset(images, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('student = "resnet8x0.5"\nepochs = 1\n[optimiser]\nlr = 0.02\nmomentum = 0.5\n')
    ran = CliRunner().invoke(
        main,
        ["train", "--preset", "cifar100", "--config", str(file), "--data", str(images), "--lr", "0.03",
         "--set", "schedule.milestones=[0.5]", "--device", "cpu", "--out", str(tmp_path / "run")],
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["batch_size"] == 64
    assert config["epochs"] == 1
    assert config["schedule"] == config["schedule"] | {"name": "step", "milestones": [0.5]}
    assert [config["optimiser"][name] for name in ("lr", "momentum", "weight_decay")] == [0.03, 0.5, 5e-4]


@pytest.mark.parametrize(
    ("milestones", "said"),
    [("[1,3]", "Not reached by epoch 1, the last one: schedule.milestones 1, 3;"), ("[0.5]", "")],
)
def test_milestones_that_a_short_training_never_comes_to_are_said_once(images, tmp_path, milestones, said):
    ran = CliRunner().invoke(
        main,
        ["train", "--preset", "cifar100", "--epochs", "1", "--student", "resnet8x0.5", "--data", str(images),
         "--set", f"schedule.milestones={milestones}", "--device", "cpu", "--out", str(tmp_path / "run")],
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    assert ran.output.count("Not reached by epoch") == bool(said)
    assert said in ran.output


@pytest.mark.parametrize("name", names())
def test_another_schedule_or_optimiser_has_nothing_of_the_presets(name, images, tmp_path):
    needed = {"student": "resnet8", "out": tmp_path, "data": {"data": str(images)}}
    schedule = build(TrainConfig, preset_named(name).beneath(needed | {"schedule": {"name": "cosine"}}, "resnet8"))
    assert schedule.schedule == Schedule(name="cosine")
    adamw = {"optimiser": {"name": "adamw"}}
    with pytest.raises(ConfigError, match=r"adamw needs a learning rate of its own"):
        build(TrainConfig, preset_named(name).beneath(needed | adamw, "resnet8"))
    adamw["optimiser"]["lr"] = 1e-3
    optimiser = build(TrainConfig, preset_named(name).beneath(needed | adamw, "resnet8"))
    assert optimiser.optimiser == Optimiser(name="adamw", lr=1e-3)
    assert optimiser.schedule.name == preset_named(name).values(None)["schedule"]["name"]


def test_a_comparison_takes_another_schedule_than_its_presets_too():
    grid = CompareConfig(
        out="cmp", store=("s",), student=("resnet8",), methods=("kd",), seeds=(0,), preset="cifar100",
        vary={"schedule.name": ["step", "cosine"]},
    )  # fmt: skip
    step, cosine = (cell.config.schedule for cell in cells_of(grid))
    assert step.milestones == (150, 180, 210)
    assert cosine == Schedule(name="cosine")


def test_an_unknown_preset_is_refused_by_name(images):
    ran = CliRunner().invoke(main, ["train", "--preset", "cifar10", "--data", str(images), "--student", "resnet8"])
    assert ran.exit_code == 1
    assert "There is no preset 'cifar10'; did you mean 'cifar100'" in ran.output


def test_presets_are_listed_and_shown():
    listed = CliRunner().invoke(main, ["presets"]).output
    assert all(name in listed for name in names())
    shown = CliRunner().invoke(main, ["presets", "cifar100"]).output
    assert "milestones = [150, 180, 210]" in shown
    as_json = json.loads(CliRunner().invoke(main, ["presets", "imagenet", "--json"]).output)
    assert as_json["imagenet"]["config"]["epochs"] == 100
    with pytest.raises(ConfigError, match="There is no preset 'imagnet'; did you mean 'imagenet'"):
        preset_named("imagnet")
