"""A run goes on from any step: killed wherever, it ends in the metrics and the very weights of one that was not."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest
import torch
from safetensors.torch import load_file

from cache_kd.distill import Method, Temperatures, with_roles
from cache_kd.errors import RunError
from cache_kd.methods.kd import kd
from cache_kd.optimiser import Optimiser
from cache_kd.progress import Silent
from cache_kd.recorder import Recorder
from cache_kd.rundir import RunFolder, alone_at
from cache_kd.train import Data, TrainConfig, resumed_config, train

MEASURED = ("seconds", "waiting", "peak_bytes")  # are the machine's


def with_dropout(classes: int, channels: int = 1) -> torch.nn.Module:
    """A student that draws random numbers in every step."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 5, stride=3),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Flatten(),
        torch.nn.Linear(512, classes),
    )


class FollowsTheTeacher(torch.nn.Module):
    """A temperature that learns, and keeps a running mean of the teacher's logits in a buffer that it replaces."""

    def __init__(self):
        super().__init__()
        self.register_buffer("size", torch.zeros(1, 1))
        self.scale = torch.nn.Parameter(torch.ones(1, 1))

    def forward(self, student, teacher, labels):
        if torch.is_grad_enabled():
            self.size = 0.9 * self.size + 0.1 * teacher.abs().mean().float()
        tau = 4.0 + self.scale * self.size.to(student.dtype)
        return Temperatures(student=tau, teacher=tau, gain=tau**2)


def following() -> Method:
    return with_roles(kd(), temperature=FollowsTheTeacher())


def config(out, store, **changes) -> TrainConfig:
    knobs = {
        "student": f"{__name__}:with_dropout", "out": out, "store": store, "method": "kd", "batch_size": 64,
        "epochs": 2, "device": "cpu",
    }  # fmt: skip
    return TrainConfig(**(knobs | changes))


def tensors(out, name):
    return load_file(out / f"{name}.safetensors")


def metrics(out):
    return [
        {key: value for key, value in line.items() if key not in MEASURED} for line in RunFolder.open(out).metrics()
    ]


def assert_same_run(first, second):
    """All tensors of the last state, generators and optimiser among them, and all lines but for the machine's."""
    for name in ("weights", "state"):
        one, other = tensors(first, name), tensors(second, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert metrics(first) == metrics(second)


class Killed(BaseException):
    """Nothing between the step and the process may catch it."""


@contextmanager
def dying_after(steps):
    """Raise in the middle of the run, after so many of its steps, and after whatever was saved then."""
    original = Recorder.after_step

    def after_step(self, position, done, stop):
        original(self, position, done, stop)
        if done == steps:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "after_step", after_step)
        yield


VARIANTS = {
    "sgd": {},
    "adamw, an average, parts": {
        "optimiser": Optimiser(name="adamw", lr=1e-3), "ema_decay": 0.9, "accumulate": 2,
    },
    "a learned temperature": {"method": "ctkd", "knobs": {"strength": {"points": [[1, 0.0], [2, -1.0]]}}},
    "a buffer of a role, under a course": {
        "method": f"{__name__}:following", "hard_weight": {"points": [[1, 0.1], [2, 0.2]]},
    },
    "scaled gradients": {"precision": "fp16"},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_run_goes_on_from_each_of_its_steps(stores, tmp_path, variant, every):
    """16 steps, ended after each 5th one or so, with states after every step or every third one."""
    changes = VARIANTS[variant] | {"checkpoint_steps": every}
    train(config(tmp_path / "whole", stores["float16"], **changes))
    ended = config(tmp_path / "ended", stores["float16"], **changes)
    for number, steps in enumerate((2, 7, 8, 13)):
        with dying_after(steps), pytest.raises(Killed):
            train(resumed_config(ended.out) if number else ended, resume=number > 0)
    train(resumed_config(ended.out), resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "ended")
    if "ema_decay" in changes:
        averages = [tensors(tmp_path / run, "weights-ema") for run in ("whole", "ended")]
        assert all(torch.equal(averages[0][key], averages[1][key]) for key in averages[0])


START = "import torch; torch.set_num_threads(1); from cache_kd.cli.main import main; main()"


@contextmanager
def started(*arguments):
    """`kdcache train` in a process of its own, which is gone at the end."""
    command = [sys.executable, "-c", START, "train", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        yield child
        child.kill()


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_leaves_the_run_of_one_that_was_not(stores, tmp_path):
    """kill -9 at random moments, twice in one run of 192 steps."""
    changes = {"student": "resnet8x0.5", "batch_size": 16, "epochs": 6, "checkpoint_steps": 4}
    train(config(tmp_path / "whole", stores["float16"], **changes))
    killed = config(tmp_path / "killed", stores["float16"], **changes)
    RunFolder.create(killed.out, killed.model_dump(mode="json"))
    state, draw = killed.out / "state.safetensors", random.Random(0)
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        with started("--resume", killed.out) as child:
            while not (state.exists() and state.stat().st_mtime_ns > before):
                assert child.poll() is None, child.communicate()[0]
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.2))
            child.kill()
    assert not (killed.out / "summary.json").exists()
    with started("--resume", killed.out) as child:
        said = child.communicate()[0]
    assert child.returncode == 0, said
    assert "going on" in said
    assert_same_run(tmp_path / "whole", killed.out)


class Watcher(Silent):
    """Asks the own process to stop when the third step is done."""

    def __init__(self, number):
        self.number, self.said, self.steps = number, [], 0

    def say(self, message):
        self.said.append(message)

    @contextmanager
    def task(self, title, total, unit):
        yield self.advance

    def advance(self, done):
        self.steps += done > 0
        if self.steps == 3:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "end"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_run_that_is_asked_to_stop_saves_its_last_step_and_says_how_to_go_on(stores, tmp_path, number, end):
    handler = signal.getsignal(number)
    train(config(tmp_path / "whole", stores["float16"]))
    watcher = Watcher(number)
    with pytest.raises(end):
        train(config(tmp_path / "run", stores["float16"]), progress=watcher)
    assert signal.getsignal(number) is handler
    assert watcher.said[-1] == (
        f"Stopped in epoch 1 after 3 of its steps. Go on with: kdcache train --resume {tmp_path / 'run'}"
    )
    train(resumed_config(tmp_path / "run"), resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_states_are_saved_by_the_clock_too(stores, tmp_path, monkeypatch):
    """A clock that goes on by a minute whenever it is asked: every step is late."""
    from cache_kd import recorder

    minutes = iter(range(10_000))
    monkeypatch.setattr(recorder.time, "monotonic", lambda: 60.0 * next(minutes))
    saved = []
    original = Recorder.save
    monkeypatch.setattr(
        Recorder, "save", lambda self, position, steps: (saved.append(steps), original(self, position, steps))
    )
    train(config(tmp_path / "run", stores["float16"], epochs=1, checkpoint_minutes=2.0))
    assert saved == [2, 4, 6, 8, 8]


def test_a_state_of_another_student_is_refused(stores, tmp_path):
    changes = {"checkpoint_steps": 1, "epochs": 1}
    run = config(tmp_path / "run", stores["float16"], **changes)
    with dying_after(3), pytest.raises(Killed):
        train(run)
    with pytest.raises(RunError, match=r"state.safetensors cannot be resumed: .*Start again with another --out"):
        train(run.model_copy(update={"student": "resnet8x0.5"}), resume=True)


def begun(out, store, **changes):
    """A run that was killed after its second step, and saved each."""
    with dying_after(2), pytest.raises(Killed):
        train(config(out, store, epochs=1, checkpoint_steps=1, **changes))


def test_a_run_does_not_go_on_over_another_store_at_the_same_place(own_store, second_store, tmp_path):
    begun(tmp_path / "run", own_store)
    shutil.rmtree(own_store)
    shutil.copytree(second_store, own_store)
    with pytest.raises(RunError, match=r"run has learned from store_id .*its student would come of both"):
        train(resumed_config(tmp_path / "run"), resume=True)


def test_a_run_does_not_go_on_over_other_labels(images, tmp_path):
    own = Path(shutil.copy(images, tmp_path / "own.h5"))
    data = Data(data=str(own), normalise="fashion-mnist")
    begun(tmp_path / "run", None, method=None, data=data)
    with h5py.File(own, "r+") as file:
        file["train/labels"][0] = 9 - file["train/labels"][0]
    with pytest.raises(RunError, match="run has learned from labels"):
        train(resumed_config(tmp_path / "run"), resume=True)


def test_a_run_goes_on_where_its_store_is_now_and_keeps_that_in_mind(own_store, tmp_path):
    begun(tmp_path / "run", own_store)
    moved = own_store.rename(tmp_path / "moved")
    train(resumed_config(tmp_path / "run", store=(moved,)), resume=True)
    assert resumed_config(tmp_path / "run").store == (moved,)


def test_images_that_moved_are_found_where_they_are_said_to_be(images, tmp_path):
    own = Path(shutil.copy(images, tmp_path / "own.h5"))
    begun(tmp_path / "run", None, method=None, data=Data(data=str(own), normalise="fashion-mnist"))
    own.rename(tmp_path / "moved.h5")
    resumed = resumed_config(tmp_path / "run", data=str(tmp_path / "moved.h5"), workers=0)
    assert train(resumed, resume=True)["epochs"] == 1


def test_a_run_finds_its_store_and_images_from_every_folder(own_store, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(images, "own.h5")
    begun(Path("run"), Path("store"), data=Data(data="own.h5"))
    monkeypatch.chdir("/")
    resumed = resumed_config(tmp_path / "run")
    assert (resumed.store, resumed.data.data) == ((own_store,), str(tmp_path / "own.h5"))
    assert train(resumed, resume=True)["epochs"] == 1


def test_another_number_of_stores_is_refused(stores, second_store, tmp_path):
    RunFolder.create(tmp_path / "run", config(tmp_path / "run", stores["float16"]).model_dump(mode="json"))
    with pytest.raises(RunError, match=r"begun with 1 store\(s\), and --store names 2"):
        resumed_config(tmp_path / "run", store=(stores["float16"], second_store))


@pytest.mark.parametrize("resume", [False, True])
def test_two_processes_do_not_train_in_one_folder(stores, tmp_path, monkeypatch, resume):
    monkeypatch.setattr("cache_kd.rundir.PATIENCE", 0.0)
    run = config(tmp_path / "run", stores["float16"], epochs=1)
    if resume:
        RunFolder.create(run.out, run.model_dump(mode="json"))
    with alone_at(run.out), pytest.raises(RunError, match="run: another process trains there"):
        train(run, resume=resume)
    assert not (run.out / "metrics.jsonl").exists()


@pytest.mark.parametrize("resume", [False, True])
def test_a_lock_that_a_kill_left_is_no_hindrance(stores, tmp_path, resume):
    run = config(tmp_path / "run", stores["float16"], epochs=1)
    run.out.mkdir()
    (run.out / "train.lock").touch()
    if resume:
        RunFolder.create(run.out, run.model_dump(mode="json"))
    assert train(run, resume=resume)["epochs"] == 1


def test_nothing_is_put_into_a_folder_of_somebody_elses(stores, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match="is not empty"):
        train(config(tmp_path, stores["float16"]))
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt"}
