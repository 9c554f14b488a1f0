"""The configuration of one student: what it sees, what it learns from, how it is optimised."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from cache_kd.bucket.url import LocalPath
from cache_kd.composition import Composition
from cache_kd.config import Config, build
from cache_kd.device import DeviceName, TrainPrecision
from cache_kd.distill import needs_of
from cache_kd.distill.fold import Fold
from cache_kd.errors import RunError
from cache_kd.faithfulness import LEAST_COSINE
from cache_kd.files import lasting_place
from cache_kd.optimiser import Optimiser
from cache_kd.order import OrderConfig
from cache_kd.proof import Check
from cache_kd.rendering import RenderOn
from cache_kd.rundir import RunFolder
from cache_kd.schedule import Schedule
from cache_kd.sources.source import Decoding
from cache_kd.view_schedule import ViewSchedule


class Data(Config):
    """Images and views where no store says them; beside a store, only where its images are now."""

    data: str | None = None
    root: str | None = None
    decode: Decoding | None = None  # of image files; None: Pillow, as stored, stop at what is unreadable
    recipe: str | dict[str, Any] | None = None  # None: the usual one of the data, or what the store says
    normalise: str | dict[str, Any] | None = (
        None  # None: the usual one of the data, else measured; or what the store says
    )


class LiveTeacher(Config):
    """A teacher in memory: the reference that a store is held against."""

    name: str | None = None  # None: as the store says
    checkpoint: Path | None = None  # None: where the store says it was
    normalise: str | dict[str, Any] | None = None


class Teachers(Config):
    """How several teachers become one, where there is more than one store."""

    fold: Fold = "mean_probabilities"
    # one per store, in their order; none: equal. in float32, in which they are taken, none is 0 and no sum is infinite
    weights: tuple[Annotated[float, Field(ge=1e-12, le=1e12)], ...] = ()


class TrainConfig(Composition):
    """One student. With `store`, everything about data, views and classes comes from its manifest."""

    student: str
    out: Path
    store: tuple[LocalPath, ...] = ()  # several: of several teachers over the same views
    teachers: Teachers = Teachers()
    data: Data = Data()
    live_teacher: LiveTeacher | None = None
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 128
    # of initialisation and order; the views of a store have the store's own
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] = 0
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    accumulate: Annotated[int, Field(ge=1)] = 1  # parts that a batch is computed in, one after the other
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None  # of a running average of the weights; None: none
    device: DeviceName = "auto"
    precision: TrainPrecision = "float32"
    channels_last: bool = True  # how images lie in memory
    compile: bool = False  # the student, with torch.compile
    sync_batch_norm: bool = True  # under torchrun: normalise over the whole batch, as one process does
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None  # save the state every so many steps
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = 10.0  # and so many minutes after it was last saved
    log_steps: Annotated[int, Field(ge=1)] = 50  # between two lines of metrics.jsonl; each is a wait for the device
    tensorboard: bool = False  # write metrics for TensorBoard too
    check: Check = "sample"
    min_gradient_cosine: Annotated[float, Field(ge=-1, le=1)] = LEAST_COSINE  # of stored with exact logits
    order: OrderConfig = OrderConfig()
    views: Annotated[int, Field(ge=1)] | None = None  # of each sample, the store's first ones; None: all of them
    view_schedule: ViewSchedule = "cycle"
    views_per_batch: Annotated[int, Field(ge=1)] = 1  # of each sample; a method that takes two has two
    # processes that render; None: as many as the data gains from
    workers: Annotated[int, Field(ge=0, le=1024)] | None = None
    render: RenderOn = "cpu"
    trust: tuple[str, ...] = ()  # functions named by the store that may be imported

    @field_validator("store", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if value is None:
            return ()
        return (value,) if isinstance(value, str | Path) else value

    @property
    def asks_a_teacher(self) -> bool:
        """Whether there must be a teacher's logits, in some epoch.

        Raises:
            ConfigError: as `at`.
        """
        return any(needs_of(method).teacher for method in self.over(self.epochs))

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the teachers, one per store."""
        return self.teachers.weights or (1.0,) * len(self.store)

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainConfig":
        live = self.live_teacher
        if not self.store and self.data.data is None:
            raise ValueError("there is nothing to train on; pass --store PATH, or --data for a model of its own")
        if self.store and (self.data.recipe or self.data.normalise or self.data.decode):
            raise ValueError(
                "the store says recipe, normalisation and decoding; leave --recipe, --normalise, --decode, --exif and "
                "--unreadable out"
            )
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(
                f"schedule.warmup_epochs is {self.schedule.warmup_epochs:g} of {self.epochs} epochs, so the full "
                "learning rate would never come; set schedule.warmup_epochs below epochs"
            )
        if self.label_smoothing and self.base and all(not each.hard_weight for each in self.over(self.epochs)):
            raise ValueError(
                f"label_smoothing is {self.label_smoothing:g}, but the hard_weight of {self.label} is 0 in every "
                "epoch: there is no cross-entropy with smoothed labels; leave label_smoothing out, or set hard_weight "
                "above 0"
            )
        if self.order.window and not self.store:
            raise ValueError("order.window counts a store's chunks; pass --store PATH, or leave it out")
        if self.views and not self.store:
            raise ValueError("views counts a store's views; pass --store PATH, or leave it out")
        if self.view_schedule == "stretches" and not self.store:
            raise ValueError(
                "the view schedule 'stretches' divides the epochs among a store's views; pass --store PATH, or use "
                "'cycle', which shows new views in every epoch"
            )
        if self.base is not None and not self.store and live is None and self.asks_a_teacher:
            raise ValueError(f"method {self.base!r} needs a teacher; pass --store PATH, or --live-teacher")
        if live is not None and self.base is None:
            raise ValueError("a live teacher needs a method; pass --method kd")
        if live is not None and not self.store and (live.name is None or live.checkpoint is None):
            raise ValueError("without a store the live teacher needs --teacher and --checkpoint")
        if live is not None and self.store and live.name is not None:
            raise ValueError("the store names its teacher; leave --teacher out")
        if live is not None and len(self.store) > 1 and live.checkpoint is not None:
            raise ValueError("several stores name several checkpoints; leave --checkpoint out")
        if self.teachers.weights and len(self.teachers.weights) != len(self.store):
            raise ValueError(f"teachers.weights has {len(self.teachers.weights)} numbers for {len(self.store)} stores")
        return self


def resumed_config(
    path: Path,
    *,
    store: Sequence[Path] = (),
    data: str | None = None,
    root: str | None = None,
    workers: int | None = None,
) -> TrainConfig:
    """The configuration of the run at `path`, with nothing changed that decides a number.

    Args:
        path: of its folder.
        store: where its stores are now, if they moved.
        data: where its images are now, if they moved; then `root` goes with it.
        root: likewise.
        workers: processes that render here.

    Raises:
        RunError: there is no run, or it has another number of stores.
        ConfigError: what stands there does not fit.
    """
    config = build(TrainConfig, {**RunFolder.open(path).config, "out": path}, origin=str(path / "config.json"))
    if store and len(store) != len(config.store):
        raise RunError(
            f"{path} was begun with {len(config.store)} store(s), and --store names {len(store)}. "
            "Name where each of them is now, in their order, or none."
        )
    changes: dict[str, Any] = {}
    if store:
        changes["store"] = tuple(store)
    if data is not None:
        changes["data"] = config.data.model_copy(update={"data": data, "root": root})
    elif root is not None:
        changes["data"] = config.data.model_copy(update={"root": root})
    if workers is not None:
        changes["workers"] = workers
    return config.model_copy(update=changes)


def lasting(config: TrainConfig) -> TrainConfig:
    """The same configuration with places that mean the same from everywhere, as a run folder keeps it."""
    data, live = config.data, config.live_teacher
    places: dict[str, Any] = {
        "store": tuple(path.resolve() for path in config.store),
        "data": data.model_copy(
            update={"data": data.data if data.root else lasting_place(data.data), "root": lasting_place(data.root)}
        ),
    }
    if live is not None and live.checkpoint is not None:
        checkpoint = Path(lasting_place(str(live.checkpoint)) or live.checkpoint)
        places["live_teacher"] = live.model_copy(update={"checkpoint": checkpoint})
    return config.model_copy(update=places)
