"""What a student learns from its teacher, as configuration: a method, what it borrows, and every number's course."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from cache_kd.config import Config
from cache_kd.distill import Method, Published, Role, compose, lends, same
from cache_kd.distill.compose import NOUN
from cache_kd.errors import ConfigError
from cache_kd.methods import make_method, may_follow_a_course, published_for, required_knobs
from cache_kd.outside import is_outside
from cache_kd.schedule import Course

LENT: tuple[Role, ...] = ("refine", "temperature")
KNOBS = ("knobs", "refine_knobs", "temperature_knobs")  # of the method, and of each that lends to it

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
        if not isinstance(values, dict):
            return values
        for key in ("method", "refine", "temperature"):
            _check_named(key, values.get(key))
        if not isinstance(values.get("method"), str):
            return values
        base, *lenders = values["method"].split("+")
        borrowed: dict[str, str] = {}
        for lender in lenders:
            roles = _lent_by(lender, values)
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
        self._check_lenders()
        knobs = {key: self._knobs_at(key, name, epoch) for key, name in self._parts.items()}
        made = {key: make_method(name, **knobs[key]) for key, name in self._parts.items()}
        method = _joined(made)
        if len(made) > 1:
            self._check_acting(made, knobs)
        published = self._published(self.base)
        hard = _first(self.hard_weight, published.hard_weight, method.hard_weight)
        soft = _first(self.soft_weight, published.soft_weight, method.soft_weight)
        return method.weighted(hard=_value(hard, epoch), soft=_value(soft, epoch))

    def courses(self) -> dict[str, Course]:
        """Every number that changes over training, by its name."""
        published = self._published(self.base)
        values = {
            **{f"{key}.{knob}": value for key in KNOBS for knob, value in self._knobs(key).items()},
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

    @property
    def _parts(self) -> dict[str, str]:
        """The methods that take part, by where their knobs are given."""
        named = {"knobs": self.base, "refine_knobs": self.refine, "temperature_knobs": self.temperature}
        return {key: name for key, name in named.items() if name is not None}

    def _published(self, name: str | None) -> Published:
        """The authors' numbers that were asked for, beside the defaults, which are those for CIFAR."""
        if name is None or self.published is None:
            return Published()
        numbers = published_for(name, self.published)
        if numbers is None and (self.published != "cifar" or is_outside(name)):
            raise ConfigError(
                f"the authors of {name} published no numbers for {self.published}; leave --published out and set "
                f"its knobs: kdcache methods {name} shows them."
            )
        return numbers or Published()

    def _knobs(self, key: str) -> dict[str, Any]:
        """The authors' where they were asked for, and above them what is given."""
        return {**self._published(self._parts.get(key)).knobs, **getattr(self, key)}

    def _knobs_at(self, key: str, name: str, epoch: int) -> dict[str, Any]:
        knobs = {knob: _maybe_course(f"{name}: {knob}", value) for knob, value in self._knobs(key).items()}
        for knob, value in knobs.items():
            if isinstance(value, Course) and not may_follow_a_course(name, knob):
                raise ConfigError(
                    f"{name}: {knob} is no number that could follow a course over the epochs; give it one value."
                )
        return {knob: _value(value, epoch) for knob, value in knobs.items()}

    def _check_acting(self, made: Mapping[str, Method], knobs: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuse a number that was given and sets only what its method has borrowed, or does not lend."""
        for key, name in self._parts.items():
            for knob in getattr(self, key):
                value = knobs[key][knob]
                try:
                    other = make_method(name, **{**knobs[key], knob: _another(value)})
                    acts = same(made[key], other) or not same(_joined(made), _joined({**made, key: other}))
                except Exception:  # the other value does not fit, whatever a function of yours raises: nothing is known
                    continue
                if not acts:
                    why = "is borrowed from another method" if key == "knobs" else "is not what is borrowed from it"
                    raise ConfigError(
                        f"{self.label}: {key}.{knob}={value!r} changes nothing, for what it sets in {name} {why}. "
                        "Leave it out."
                    )

    def _check_lenders(self) -> None:
        for key in KNOBS:
            if getattr(self, key) and key not in self._parts:
                raise ConfigError(
                    f"{key} are given, but no method that they belong to; pass --{key.removesuffix('_knobs')} too."
                )

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


def _check_named(key: str, value: Any) -> None:
    if isinstance(value, str) and "" in value.split("+"):
        raise ConfigError(
            f"{key} is {value!r}, in which a name is missing; write one of `kdcache methods`, or leave --{key} out. "
            "A variable that the shell does not know is an empty word."
        )


def _lent_by(lender: str, values: Mapping[str, Any]) -> list[Role]:
    """The roles that a method can lend; a knob without default has the value that is given for the role."""
    required = required_knobs(lender)
    given = {role: knobs if isinstance(knobs := values.get(f"{role}_knobs"), dict) else {} for role in LENT}
    built = {
        role: make_method(lender, **{knob: _value(_maybe_course(knob, knobs[knob]), 1) for knob in required})
        for role, knobs in given.items()
        if required <= knobs.keys()
    }
    if not built:
        make_method(lender)  # says which knob needs a value
    return [role for role, method in built.items() if role in lends(method)]


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


def _joined(made: Mapping[str, Method]) -> Method:
    return compose(made["knobs"], refine=made.get("refine_knobs"), temperature=made.get("temperature_knobs"))


def _another(value: Any) -> Any:
    """Some other number; the same for what is no number."""
    if isinstance(value, bool):
        return not value
    return (value / 2 or 1.0) if isinstance(value, int | float) else value


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
