"""The route to a codec: a pilot of the teacher, every codec priced on it, one recommended, the dump estimated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cache_kd.composition import Composition
from cache_kd.config import Config
from cache_kd.device import describe_environment, resolve_device
from cache_kd.distill import Method, needs_of
from cache_kd.distill.loss import refuse_mixed
from cache_kd.errors import ConfigError, KdCacheError
from cache_kd.planning.candidates import chosen, label
from cache_kd.planning.choice import Choice, Wish, choose
from cache_kd.planning.command import dump_command
from cache_kd.planning.estimate import Estimate, Speed, estimate
from cache_kd.planning.page import check_place, write_picture
from cache_kd.planning.picture import draw
from cache_kd.planning.pilot import Pilot, run_pilot
from cache_kd.planning.price import Price, price
from cache_kd.planning.table import method_table, nats, share, size_table
from cache_kd.progress import Progress, Silent
from cache_kd.rendering import open_renderer
from cache_kd.selftest import check_replays
from cache_kd.sources.open import open_source, splits
from cache_kd.sources.source import Source, SourceSpec
from cache_kd.sources.usual import settled_recipe
from cache_kd.store.codec import Codec
from cache_kd.store.fidelity import TEMPERATURES
from cache_kd.teacher_config import TeacherConfig
from cache_kd.views import make_recipe

# the methods that no store of probabilities and no bare top-k can serve, and the one that everybody starts with
METHODS = ("kd", "normkd", "la", "dtd", "rld", "atkd")


class PlanConfig(TeacherConfig):
    """A dump that is thought of, what it may take and lose, and what it is for."""

    budget_bytes: Annotated[int, Field(gt=0, lt=2**63)] | None = None  # of the whole store
    max_kl: Annotated[float, Field(gt=0)] | None = None  # nats, at the temperature `at_tau`
    at_tau: Annotated[int, Field(ge=1, le=10**6)] = 4
    methods: tuple[str, ...] | None = None  # or compositions; None: those of METHODS that the recipe can serve
    codecs: tuple[str | dict[str, Any], ...] | None = None  # None: every one that there is, in several settings
    students: Annotated[int, Field(ge=1, le=10**9)] = 10
    epochs: Annotated[int, Field(ge=1, le=10**9)] = 240  # of each student
    pilot: Annotated[int, Field(ge=2)] = 4096  # views that the teacher is asked about now
    out: Path | None = None  # .png, .svg or .html

    @property
    def wish(self) -> Wish:
        """What the store may take and lose."""
        return Wish(budget_bytes=self.budget_bytes, max_kl=self.max_kl, at_tau=self.at_tau)


class PlanResult(Config):
    """Everything that was found, for scripts and for tables.

    Attributes:
        wish: in words.
        measured_views: that codecs were measured on.
        prices: of each codec that can keep this teacher, by size.
        refused: why each of the others cannot.
        choice: which to take.
        speed: seconds per view on this machine.
        estimate: of the dump, and of a live teacher.
        command: that dumps with the recommended codec; None where none is.
        environment: device and library versions.
    """

    wish: str
    at_tau: int
    measured_views: int
    prices: tuple[Price, ...]
    refused: dict[str, str]
    choice: Choice
    speed: Speed
    estimate: Estimate
    command: str | None
    environment: dict[str, str]

    @property
    def verdict(self) -> str:
        """What to take, or what comes nearest, in a sentence."""
        nearest = next(price for price in self.prices if price.codec == self.choice.nearest)
        if self.choice.recommended is None:
            return (
                f"No codec meets the wish: {self.wish}. The nearest is {nearest.codec} with "
                f"{' and '.join(self.choice.misses)}."
            )
        divergences = ", ".join(f"{nats(value)} at T = {tau}" for tau, value in nearest.fidelity.kl.items())
        return (
            f"Take {nearest.codec}: {nearest.size.total:,} bytes; KL {divergences}; top-1 agreement "
            f"{share(nearest.fidelity.top1, 4)}, cosines of {share(nearest.worst_cosine, 4)} or more. "
            f"Asked for: {self.wish}."
        )


def plan(config: PlanConfig, progress: Progress | None = None) -> PlanResult:
    """Ask the teacher about a few thousand views, measure every codec on its answers, and recommend one.

    Nothing is stored; with `config.out` what was found is drawn.

    Raises:
        ConfigError: a codec or method is unknown, or none of the codecs can keep this teacher.
        KdCacheError: the images or the teacher cannot be opened, or do not belong together.
    """
    progress = progress or Silent()
    if config.out is not None:
        check_place(config.out)
    spec = config.train_spec
    words = settled_recipe(config.recipe, spec, progress)
    recipe, device = make_recipe(words), resolve_device(config.device)
    sources = _open(spec, progress)
    source, test_samples = sources["train"], len(sources["test"]) if "test" in sources else 0
    codecs = chosen(config.codecs, classes=source.classes)
    mixed = recipe.pairs(config.seed, len(source), 0) is not None
    methods = _methods(config.methods, mixed=mixed, classes=source.classes)
    teacher = config.open_teacher(source, device, progress)
    check_replays(recipe, source, config.seed)
    size = min(config.pilot, config.views * len(source))
    progress.say(f"{config.teacher} is asked about {size:,} views; {len(codecs)} codecs are measured on half of them.")
    renderer = open_renderer(
        {"train": source}, recipe, seed=config.seed, workers=config.workers, render=config.render, device=device
    )
    with renderer, progress.task("pilot", size, "views") as advance:
        pilot = run_pilot(
            teacher,
            renderer,
            seed=config.seed,
            views=config.views,
            size=size,
            batch_size=config.batch_size,
            advance=advance,
        )
    manifest_words = config.manifest_words(sources, recipe, teacher)
    prices, refused = _prices(codecs, pilot, methods, sources, manifest_words, config, progress)
    choice = choose(prices, config.wish)
    best = next((price for price in prices if price.codec == choice.recommended), None)
    result = PlanResult(
        wish=str(config.wish),
        at_tau=config.at_tau,
        measured_views=len(pilot.measuring.logits),
        prices=tuple(prices),
        refused=refused,
        choice=choice,
        speed=pilot.speed,
        estimate=estimate(
            pilot.speed,
            samples=len(source),
            test_samples=test_samples,
            views=config.views,
            students=config.students,
            epochs=config.epochs,
        ),
        command=None if best is None else _command(config, words, best),
        environment=describe_environment(device),
    )
    if config.out is not None:
        _draw(config, result)
    return result


def _open(spec: SourceSpec, progress: Progress) -> dict[str, Source]:
    """The training images, and the test images where there are any."""
    parts = [part for part in ("train", "test") if part == "train" or part in splits(spec)]
    return {part: open_source(spec.model_copy(update={"split": part}), progress) for part in parts}


def _methods(names: tuple[str, ...] | None, *, mixed: bool, classes: int) -> dict[str, Method]:
    """The methods by name; those that views of two pictures cannot serve are refused, or left out of the default."""
    made = {name: _made(name) for name in (METHODS if names is None else names)}
    if not mixed:
        return made
    if names is None:
        return {name: method for name, method in made.items() if not needs_of(method).label}
    for method in made.values():
        refuse_mixed(method, classes)
    return made


def _made(name: str) -> Method:
    method = Composition(method=name).at(1)
    assert method is not None
    return method


def _prices(
    codecs: list[Codec],
    pilot: Pilot,
    methods: Mapping[str, Method],
    sources: Mapping[str, Source],
    words: Mapping[str, Any],
    config: PlanConfig,
    progress: Progress,
) -> tuple[list[Price], dict[str, str]]:
    """The prices by size, and why the other codecs have none."""
    temperatures = sorted({*TEMPERATURES, config.at_tau})
    samples = {part: len(source) for part, source in sources.items()}
    prices, refused = [], {}
    with progress.task("codecs", len(codecs), "codecs") as advance:
        for codec in codecs:
            try:
                found = price(
                    codec, pilot, methods, samples=samples, views=config.views, temperatures=temperatures, words=words
                )
                prices.append(found)
            except KdCacheError as fault:
                refused[label(codec)] = str(fault)
            advance(1)
    if not prices:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in refused.items())
        raise ConfigError(f"None of the codecs can keep this teacher's logits:{reasons}")
    return sorted(prices, key=lambda each: each.size.total), refused


def _command(config: PlanConfig, recipe: str | Mapping[str, Any], taken: Price) -> str:
    """The dump that follows: recipe and views, which decide most, and what else of the dump's knobs was set."""
    own = {"budget_bytes", "max_kl", "at_tau", "methods", "codecs", "students", "epochs", "pilot", "out"}
    knobs = config.model_dump(mode="json", exclude_defaults=True, exclude=own)
    knobs |= {"recipe": recipe, "views": config.views}
    return dump_command(knobs, taken.option, store=f"{config.teacher} {taken.codec}")


def _draw(config: PlanConfig, result: PlanResult) -> None:
    assert config.out is not None
    title = f"{config.teacher}, {config.views} views: what codecs take and what they lose"
    of_methods = method_table(result.prices, result.choice)
    write_picture(
        config.out,
        draw(result.prices, result.choice, config.wish, title=title),
        title=f"Which codec for {config.teacher}?",
        paragraphs=[result.verdict, str(result.estimate), f"Measured on {result.measured_views:,} views."],
        table=[row + more[1:] for row, more in zip(size_table(result.prices, result.choice), of_methods, strict=True)],
        command=result.command or "",
    )
