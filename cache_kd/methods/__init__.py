"""Published methods by name: the name of a method is the name of its file here and of the function in it."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cache_kd.distill import Method, Published, Role, lends, needs_of, roles_of
from cache_kd.distill.compose import NOUN
from cache_kd.errors import ConfigError, did_you_mean
from cache_kd.outside import is_outside, load_function

DATA_SETS = ("cifar", "imagenet")

# Text never becomes a number; a type that pydantic does not know is checked with isinstance.
_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a user wants to know of a method before training with it."""

    name: str
    paper: str  # authors, title, year and identifier: the first paragraph of the docstring
    knobs: Mapping[str, Any]  # name -> default; None where a value must be given
    weights: tuple[float, float] | None  # of labels and of terms; None where the knobs are not known
    roles: tuple[Role, ...]  # what it does in its own way; an empty one is plain KD
    lends: tuple[Role, ...]  # what other methods can borrow
    fixed: Mapping[Role, str]  # what it cannot borrow, and why
    needs: str  # what a training step must bring; asked of the method itself
    published: Mapping[str, str]  # data set -> the authors' numbers, where not the knobs' defaults
    text: str  # the whole docstring: formula, notes, knobs

    @property
    def reference(self) -> str:
        """The paper in short: `Chi et al., 2023 (arXiv 2308.00520)`."""
        paper = self.paper.partition(";")[0].rstrip(".")
        found = re.search(r", ((?:[A-Za-z]+ )?(?:19|20)\d\d\b.*)$", paper)
        return f"{paper.partition(',')[0]}, {found.group(1)}" if found else paper

    @property
    def usage(self) -> str:
        """The knobs with their defaults: `tau=2.0`."""
        shown = {
            knob: f"{value:.6g}" if isinstance(value, float) else repr(value) for knob, value in self.knobs.items()
        }
        return ", ".join(knob if self.knobs[knob] is None else f"{knob}={shown[knob]}" for knob in self.knobs)

    def facts(self) -> dict[str, str]:
        """What the method says of itself beyond its text, in words."""
        facts = {"Knobs": self.usage or "none"}
        if self.weights is not None:
            facts["Weights"] = f"{self.weights[0]:g} of the labels' cross-entropy, {self.weights[1]:g} of the method"
        facts["Its own"] = in_words(self.roles) or "nothing: this is plain KD"
        facts["Lends"] = in_words(self.lends) or "nothing"
        facts |= {f"Keeps its {NOUN[role]}": why for role, why in self.fixed.items()}
        facts["Needs"] = self.needs
        return facts | {f"--published {data_set}": numbers for data_set, numbers in self.published.items()}


def in_words(roles: tuple[Role, ...]) -> str:
    """`refinement, divergence`."""
    return ", ".join(NOUN[role] for role in roles)


def names() -> list[str]:
    """The methods that come with the package, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make_method(name: str, **knobs: Any) -> Method:
    """Build a method from the name of a file here, or from `package.module:function` outside.

    >>> make_method("kd", tau=2.0).soft_weight
    0.9

    Args:
        name: one of `names()`, or a function of yours that returns a Method.
        knobs: arguments of that function; the others keep their defaults.

    Raises:
        ConfigError: the name or a knob is unknown, a value does not fit, or what comes back is no Method.
    """
    factory = _factory(name)
    parameters = inspect.signature(factory, eval_str=True).parameters
    usage = _usage(name, parameters)
    for knob in knobs:
        if knob not in parameters:
            known = did_you_mean(knob, parameters) if parameters else "it has none."
            raise ConfigError(f"{name} has no knob {knob!r}; {known} Use {usage}.")
    for knob, parameter in parameters.items():
        if parameter.default is parameter.empty and knob not in knobs:
            raise ConfigError(f"{name} needs a value for {knob!r}, which has no default. Use {usage}.")
    method = factory(**{knob: _fitting(name, parameters[knob], value) for knob, value in knobs.items()})
    if not isinstance(method, Method):
        raise ConfigError(f"{name} returns {type(method).__name__}; expected a cache_kd.distill.Method.")
    return method


def describe(name: str) -> Description:
    """Paper, knobs, roles and needs of a method, read from its signature, its docstring and itself.

    Raises:
        ConfigError: no method has this name.
    """
    factory = _factory(name)
    text = inspect.getdoc(factory) or ""
    parameters = inspect.signature(factory).parameters
    complete = all(parameter.default is not parameter.empty for parameter in parameters.values())
    method = make_method(name) if complete else None
    return Description(
        name=name,
        paper=_first_paragraph(text),
        knobs={
            knob: None if parameter.default is parameter.empty else parameter.default
            for knob, parameter in parameters.items()
        },
        weights=(method.hard_weight, method.soft_weight) if method else None,
        roles=roles_of(method) if method else (),
        lends=lends(method) if method else (),
        fixed=method.fixed if method else {},
        needs=str(needs_of(method)) if method else "not known before its knobs are",
        published={of: str(numbers) for of in DATA_SETS if (numbers := _published(factory, of))},
        text=text,
    )


def published_for(name: str, data_set: str) -> Published:
    """What the authors of a method set for a data set, where it is not the default of its knobs.

    Args:
        name: of the method.
        data_set: "cifar", for which the defaults are, or "imagenet".

    Raises:
        ConfigError: the authors published nothing for it.
    """
    numbers = _published(_factory(name), data_set)
    if numbers is None and data_set != "cifar":
        raise ConfigError(
            f"the authors of {name} published no numbers for {data_set}; leave --published out and set its knobs: "
            f"kdcache methods {name} shows them."
        )
    return numbers or Published()


def _published(factory: Callable[..., Any], data_set: str) -> Published | None:
    """The constant CIFAR or IMAGENET beside the method's function."""
    numbers = getattr(inspect.getmodule(factory), data_set.upper(), None)
    return numbers if isinstance(numbers, Published) else None


def _factory(name: str) -> Callable[..., Any]:
    if is_outside(name):
        return load_function(name, purpose="a method")
    if name not in names():
        raise ConfigError(
            f"no method is called {name!r}; {did_you_mean(name, names())} "
            "A method of your own is named package.module:function."
        )
    return getattr(importlib.import_module(f"{__name__}.{name}"), name)  # type: ignore[no-any-return]


def _fitting(name: str, parameter: inspect.Parameter, value: Any) -> Any:
    """`value` as the parameter's annotation wants it: an int becomes a float."""
    if parameter.annotation is parameter.empty:
        return value
    try:
        return TypeAdapter[Any](parameter.annotation, config=_STRICT).validate_python(value)
    except ValidationError as fault:
        reason = fault.errors(include_url=False)[0]["msg"]
        raise ConfigError(
            f"{name}: {parameter.name}={value!r} does not fit: {reason}. Default: {parameter.default!r}."
        ) from None


def _usage(name: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    """`kd(tau=4.0)`."""
    knobs = (
        knob if parameter.default is parameter.empty else f"{knob}={parameter.default!r}"
        for knob, parameter in parameters.items()
    )
    return f"{name}({', '.join(knobs)})"


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
