"""What a student learns from its teacher, as configuration: a method, what it borrows, and every number's course."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from cache_kd.config import Config
from cache_kd.distill import Method, Published, compose, lends
from cache_kd.distill.compose import NOUN
from cache_kd.errors import ConfigError
from cache_kd.methods import make_method, published_for
from cache_kd.outside import is_outside
from cache_kd.schedule import Course

Weight = Annotated[float, Field(ge=0)] | Course


class Composition(Config):
    """A method and the roles it borrows; any number may be a `Course` over the epochs."""

    method: str | None = None  # None: plain cross-entropy, or kd where a role is borrowed
    knobs: dict[str, Any] = Field(default_factory=dict)
    refine: str | None = None  # a method that lends its refinement
    refine_knobs: dict[str, Any] = Field(default_factory=dict)
    temperature: str | None = None  # a method that lends its temperature
    temperature_knobs: dict[str, Any] = Field(default_factory=dict)
    published: Literal["cifar", "imagenet"] | None = None  # the authors' numbers for it, schedules included
    hard_weight: Weight | None = None  # None: the method's
    soft_weight: Weight | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _taken_apart(cls, values: Any) -> Any:
        """`method="dkd+normkd"` is `method="dkd", temperature="normkd"`: each lends the one role that it can lend."""
        if not isinstance(values, dict) or not isinstance(values.get("method"), str):
            return values
        base, *lenders = values["method"].split("+")
        borrowed: dict[str, str] = {}
        for lender in lenders:
            roles = lends(make_method(lender))
            if len(roles) != 1:
                able = "no role" if not roles else "several roles"
                raise ConfigError(f"{values['method']}: {lender} can lend {able}; use --refine or --temperature.")
            if values.get(roles[0]) or roles[0] in borrowed:
                raise ConfigError(f"{values['method']}: there is more than one {NOUN[roles[0]]}; leave one out.")
            borrowed[roles[0]] = lender
        return {**values, "method": base, **borrowed}

    @field_validator("temperature", mode="before")
    @classmethod
    def _a_name(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            raise ValueError(
                "temperature names a method that lends its temperature, such as normkd; "
                f"for kd at a temperature of {value} write --set knobs.tau={value}"
            )
        return value

    @property
    def base(self) -> str | None:
        """The method that the others lend to; None for plain cross-entropy."""
        return self.method or ("kd" if self.refine or self.temperature else None)

    @property
    def label(self) -> str:
        """A name for tables and folders: `ce`, `rld`, `dkd+normkd`."""
        return "+".join(name for name in (self.base or "ce", self.refine, self.temperature) if name)

    def composition(self) -> dict[str, Any]:
        """What was asked for, for a run's record: only what is not the default."""
        return self.model_dump(mode="json", include=set(Composition.model_fields), exclude_defaults=True)

    def at(self, epoch: int) -> Method | None:
        """The method as it is in an epoch, counted from 1; None for plain cross-entropy.

        >>> course = {"points": [[1, 8.0], [11, 4.0]]}
        >>> Composition(method="kd", knobs={"tau": course}).at(6).terms[0].temperature
        Constant(tau=6.0)

        Raises:
            ConfigError: a method or a knob is unknown, a value does not fit, or the combination makes no sense.
        """
        if self.base is None:
            self._check_plain()
            return None
        published = self._published()
        method = compose(
            self._made(self.base, {**published.knobs, **self.knobs}, epoch),
            refine=self._lender(self.refine, self.refine_knobs, "refine_knobs", epoch),
            temperature=self._lender(self.temperature, self.temperature_knobs, "temperature_knobs", epoch),
        )
        hard = _first(self.hard_weight, published.hard_weight, method.hard_weight)
        soft = _first(self.soft_weight, published.soft_weight, method.soft_weight)
        return method.weighted(
            hard=_weight("hard_weight", _value(hard, epoch)), soft=_weight("soft_weight", _value(soft, epoch))
        )

    def courses(self) -> dict[str, Course]:
        """Every number that changes over training, by its name."""
        published = self._published()
        values = {
            **{f"knobs.{name}": value for name, value in {**published.knobs, **self.knobs}.items()},
            **{f"refine_knobs.{name}": value for name, value in self.refine_knobs.items()},
            **{f"temperature_knobs.{name}": value for name, value in self.temperature_knobs.items()},
            "hard_weight": _first(self.hard_weight, published.hard_weight),
            "soft_weight": _first(self.soft_weight, published.soft_weight),
        }
        return {name: _course(name, value) for name, value in values.items() if isinstance(value, dict | Course)}

    def over(self, epochs: int) -> Iterator[Method]:
        """The method of every epoch; once where no number changes, and none for plain cross-entropy.

        What a method needs may change with a course: a term of weight 0 reads nothing.

        Raises:
            ConfigError: as `at`.
        """
        for epoch in range(1, epochs + 1 if self.courses() else 2):
            method = self.at(epoch)
            if method is not None:
                yield method

    def validate_over(self, epochs: int) -> None:
        """Make the method of every epoch once, so that no number of a course is refused in the middle.

        Raises:
            ConfigError: as `at`.
        """
        for _ in self.over(epochs):
            pass

    def _published(self) -> Published:
        """The authors' numbers that were asked for, beside the defaults, which are those for CIFAR."""
        if self.base is None or self.published is None:
            return Published()
        numbers = published_for(self.base, self.published)
        if numbers is None and (self.published != "cifar" or is_outside(self.base)):
            raise ConfigError(
                f"the authors of {self.base} published no numbers for {self.published}; leave --published out and set "
                f"its knobs: kdcache methods {self.base} shows them."
            )
        return numbers or Published()

    def _made(self, name: str, knobs: Mapping[str, Any], epoch: int) -> Method:
        return make_method(
            name, **{knob: _value(_maybe_course(f"{name}: {knob}", value), epoch) for knob, value in knobs.items()}
        )

    def _lender(self, name: str | None, knobs: Mapping[str, Any], key: str, epoch: int) -> Method | None:
        if name is None:
            if knobs:
                raise ConfigError(
                    f"{key} are given, but no method that they belong to; pass --{key.removesuffix('_knobs')} too."
                )
            return None
        return self._made(name, knobs, epoch)

    def _check_plain(self) -> None:
        given = {
            "knobs": self.knobs,
            "refine_knobs": self.refine_knobs,
            "temperature_knobs": self.temperature_knobs,
            "published": self.published,
            "hard_weight": self.hard_weight,
            "soft_weight": self.soft_weight,
        }
        for key, value in given.items():
            if value not in (None, {}):
                raise ConfigError(
                    f"{key} is given, but no method that it belongs to; pass --method, for example --method kd."
                )


def _maybe_course(where: str, value: Any) -> Any:
    return _course(where, value) if isinstance(value, dict) else value


def _course(where: str, value: dict[str, Any] | Course) -> Course:
    if isinstance(value, Course):
        return value
    try:
        return Course.model_validate(value)
    except ValidationError as fault:
        first = fault.errors(include_url=False)[0]
        raise ConfigError(
            f"{where}: {value!r} is not a course over the epochs ({first['msg'].removeprefix('Value error, ')}). "
            'Write {"points": [[1, 8.0], [20, 2.0]], "between": "linear"}.'
        ) from None


def _value(value: Any, epoch: int) -> Any:
    return value.at(epoch) if isinstance(value, Course) else value


def _weight(name: str, value: float) -> float:
    if value < 0:
        raise ConfigError(f"{name} comes to {value:g}; a weight is 0 or more. Mend the points of its course.")
    return value


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
