"""The whole story on embedded images: a teacher, one dump, seven students, and what the teacher would have cost."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cache_kd.config import Config
from cache_kd.device import DeviceName
from cache_kd.dump import DumpConfig, DumpResult, dump
from cache_kd.inspection import Inspection, inspect_store
from cache_kd.progress import Progress, Silent
from cache_kd.report import write_report
from cache_kd.rundir import RunFolder
from cache_kd.schedule import Schedule
from cache_kd.train import Data, LiveTeacher, TrainConfig, train

METHODS = (None, "kd", "normkd", "la", "dtd", "rld", "atkd")
BATCH_SIZE = 128
COLUMNS = ("student", "accuracy %", "agreement %", "seconds", "s/epoch")


class DemoConfig(Config):
    """Sizes are chosen so that all of it takes about two minutes on two cores."""

    out: Path = Path("kdcache-demo")
    teacher: str = "resnet14"
    student: str = "resnet8x0.5"
    teacher_epochs: Annotated[int, Field(ge=1)] = 3
    epochs: Annotated[int, Field(ge=1)] = 3
    views: Annotated[int, Field(ge=1)] = 3  # one for each epoch of a student
    seed: int = 0
    device: DeviceName = "auto"


class DemoResult(Config):
    """The table of the demo and where everything lies."""

    rows: list[tuple[str, ...]]
    teacher_ran: bool
    live_seconds_per_epoch: float
    cached_seconds_per_epoch: float
    store: str
    store_bytes: int
    report: str


def demo(config: DemoConfig, progress: Progress | None = None) -> DemoResult:
    """Train a teacher, dump its logits, train a student with every method; whatever is there already is kept.

    Raises:
        KdCacheError: anything that a user can mend.
    """
    progress = progress or Silent()
    data = str(files("cache_kd.fashion_mnist").joinpath("fashion-mnist.h5"))
    progress.say("1. A teacher: an ordinary kdcache train, without a store.")
    teacher = _run(_teacher_config(config, data), progress)
    progress.say("2. Its logits, once: kdcache dump.")
    dumped = _dump(config, data, progress)
    progress.say("3. Students from the one store: kdcache train --store.")
    students = {method or "ce": _run(_student_config(config, method), progress) for method in METHODS}
    progress.say("4. The reference: the same kd student with the teacher in memory.")
    students["kd, live teacher"] = _run(_student_config(config, "kd", live=True), progress)
    return _report(config, teacher, students, dumped, inspect_store(_store(config)))


def _teacher_config(config: DemoConfig, data: str) -> TrainConfig:
    return TrainConfig(
        student=config.teacher,
        out=config.out / "teacher",
        data=Data(data=data, recipe="cifar", normalise="fashion-mnist"),
        epochs=config.teacher_epochs,
        batch_size=BATCH_SIZE,
        schedule=Schedule(warmup_epochs=min(1, config.teacher_epochs / 2)),
        seed=config.seed,
        device=config.device,
    )


def _student_config(config: DemoConfig, method: str | None, *, live: bool = False) -> TrainConfig:
    return TrainConfig(
        student=config.student,
        out=config.out / "students" / f"{method or 'ce'}{'-live' if live else ''}",
        store=(_store(config),),
        method=method,
        live_teacher=LiveTeacher() if live else None,
        epochs=config.epochs,
        batch_size=BATCH_SIZE,
        schedule=Schedule(warmup_epochs=0.5),
        seed=config.seed,
        device=config.device,
    )


def _store(config: DemoConfig) -> Path:
    return config.out / "store"


def _dump(config: DemoConfig, data: str, progress: Progress) -> DumpResult:
    dump_config = DumpConfig(
        data=data,
        teacher=config.teacher,
        checkpoint=config.out / "teacher" / "weights.safetensors",
        store=_store(config),
        recipe="cifar",
        views=config.views,
        seed=config.seed,
        # exact, and in the students' batch size, so that the live teacher's row of the table repeats kd's
        codec="float32",
        batch_size=BATCH_SIZE,
        device=config.device,
    )
    return dump(dump_config, progress)


def _run(config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """The summary of the run; a finished one is taken as it is, an interrupted one goes on."""
    begun = (config.out / "config.json").is_file()
    if begun and (summary := RunFolder.open(config.out).summary):
        progress.say(f"{config.out} is finished; it is not trained again.")
        return summary
    return train(config, resume=begun, progress=progress)


def _report(
    config: DemoConfig, teacher: dict[str, Any], students: dict[str, Any], dumped: DumpResult, store: Inspection
) -> DemoResult:
    live, cached = students["kd, live teacher"]["seconds_per_epoch"], students["kd"]["seconds_per_epoch"]
    rows = [_row(f"teacher ({config.teacher})", teacher), *(_row(name, run) for name, run in students.items())]
    page = config.out / "report.html"
    environment = students["kd"]["environment"]
    write_report(
        page,
        title="kdcache demo: one teacher, one store, seven students",
        summary=(
            f"{config.student} students of one {config.teacher} on 10,000 Fashion-MNIST images; "
            f"{config.views} augmented views, {config.epochs} epochs each, one seed."
        ),
        columns=COLUMNS,
        rows=rows,
        curves={name: _curve(Path(run["run"])) for name, run in students.items()},
        seconds_per_epoch={
            "kd, live teacher": live,
            "kd, from the cache": cached,
            "ce, no teacher": students["ce"]["seconds_per_epoch"],
        },
        facts=[
            ("store", f"{_store(config)}, {store.manifest.store_id}"),
            ("size", f"{store.bytes / 1e6:.2f} MB for {config.views} views + the plain test images"),
            ("teacher in the loop / from the cache", f"{live:.2f} s / {cached:.2f} s per epoch = {live / cached:.2f}"),
            ("accuracy, agreement", "after the last epoch, on 2,000 test images (standard error about 0.8 %)"),
            ("not a ranking", f"{config.epochs} epochs and one seed show that every method runs, not which is better"),
            *environment.items(),
        ],
    )  # fmt: skip
    return DemoResult(
        rows=rows,
        teacher_ran=dumped.computed_rows > 0,
        live_seconds_per_epoch=live,
        cached_seconds_per_epoch=cached,
        store=str(_store(config)),
        store_bytes=store.bytes,
        report=str(page),
    )


def _row(name: str, run: dict[str, Any]) -> tuple[str, ...]:
    agreement = "" if run["agreement"] is None else f"{100 * run['agreement']:.2f}"
    return name, f"{100 * run['accuracy']:.2f}", agreement, f"{run['seconds']:.1f}", f"{run['seconds_per_epoch']:.2f}"


def _curve(run: Path) -> list[tuple[float, float]]:
    lines = RunFolder.open(run).metrics()
    return [(line["epoch"], 100 * line["accuracy"]) for line in lines if "accuracy" in line]
