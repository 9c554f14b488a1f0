"""Published methods by name: the name of a method is the name of its file here and of the function in it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cache_kd.distill import Method, Published
from cache_kd.errors import ConfigError, did_you_mean
from cache_kd.outside import is_outside, load_function

DATA_SETS = ("cifar", "imagenet")

# Text never becomes a number; a type that pydantic does not know is checked with isinstance.
_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


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
    factory = factory_of(name)
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


def required_knobs(name: str) -> set[str]:
    """The knobs of a method that have no default.

    Raises:
        ConfigError: no method has this name.
    """
    parameters = inspect.signature(factory_of(name)).parameters
    return {knob for knob, parameter in parameters.items() if parameter.default is parameter.empty}


def may_follow_a_course(name: str, knob: str) -> bool:
    """Whether a knob takes any number between two others: it is a float, or nothing is said of its type.

    Raises:
        ConfigError: no method has this name.
    """
    parameter = inspect.signature(factory_of(name), eval_str=True).parameters.get(knob)
    return parameter is None or parameter.annotation in (parameter.empty, Any) or _has_floats(parameter.annotation)


def published_for(name: str, data_set: str) -> Published | None:
    """What the authors of a method set for a data set, where it is not the default of its knobs.

    It is the constant CIFAR or IMAGENET beside the method's function; None where there is none.

    Args:
        name: of the method.
        data_set: one of `DATA_SETS`.

    Raises:
        ConfigError: no method has this name.
    """
    numbers = getattr(inspect.getmodule(factory_of(name)), data_set.upper(), None)
    return numbers if isinstance(numbers, Published) else None


def factory_of(name: str) -> Callable[..., Any]:
    """The function that makes a method.

    Raises:
        ConfigError: no method has this name.
    """
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


def _has_floats(annotation: Any) -> bool:
    return annotation is float or any(_has_floats(part) for part in get_args(annotation))


def _usage(name: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    """`kd(tau=4.0)`."""
    knobs = (
        knob if parameter.default is parameter.empty else f"{knob}={parameter.default!r}"
        for knob, parameter in parameters.items()
    )
    return f"{name}({', '.join(knobs)})"
