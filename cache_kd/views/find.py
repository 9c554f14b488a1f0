# mypy: disable-error-code="type-abstract"
"""Recipes and steps by name: each stands in the file of its name, and words joined by + are a chain."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar

from cache_kd.config import Config, build
from cache_kd.errors import ConfigError, did_you_mean
from cache_kd.outside import is_outside
from cache_kd.views.recipe import Recipe
from cache_kd.views.step import Step

Some = TypeVar("Some", bound=Config)

RECIPES, STEPS = "cache_kd.views", "cache_kd.views.steps"

# as words: the strengths of torchvision's reference recipe, 2021
MIXES = {"mixup": 0.2, "cutmix": 1.0}


def make_recipe(spec: "str | Mapping[str, Any] | Recipe") -> Recipe:
    """The recipe that words such as "cifar" or "rrc+randaugment+mixup", or a mapping with a name and knobs, describe.

    The first word is a recipe, or `package.module:function` for a transform of one's own; the others are steps,
    and at the end `mixup`, `cutmix` or both.

    Raises:
        ConfigError: there is no such recipe, it has no such knob, or a value does not fit.
    """
    if isinstance(spec, Recipe):
        return spec
    if isinstance(spec, str):
        return _from_words(spec)
    return _one(spec, Recipe, RECIPES, "recipe")


def make_base(spec: "str | Mapping[str, Any] | Recipe") -> Recipe:
    """The recipe of `make_recipe` for another one to build on: any but `mixed`, which is always the outermost.

    Raises:
        ConfigError: as `make_recipe`, or the recipe mixes.
    """
    recipe = make_recipe(spec)
    if recipe.name == "mixed":
        raise ConfigError(
            "The recipe 'mixed' stands inside another one; mixing comes last. "
            "Make it the outermost and give it the other recipe as its base."
        )
    return recipe


def make_step(spec: "str | Mapping[str, Any]") -> Step:
    """The step that a name, or a mapping with a name and knobs, describes.

    Raises:
        ConfigError: there is no such step, it has no such knob, or a value does not fit.
    """
    return _one({"name": spec} if isinstance(spec, str) else spec, Step, STEPS, "step")


def recipe_names() -> list[str]:
    """Every recipe of the folder, sorted; some of them need others inside, as `chain` does."""
    return sorted(_kinds(Recipe, RECIPES))


def step_names() -> list[str]:
    """Every step of the folder, sorted."""
    return sorted(_kinds(Step, STEPS))


def recipe_kind(name: str) -> type[Recipe]:
    """The class of a recipe, for its docstring and knobs.

    Raises:
        ConfigError: there is no such recipe.
    """
    return _kind(name, Recipe, RECIPES, "recipe")


def step_kind(name: str) -> type[Step]:
    """The class of a step, for its docstring and knobs.

    Raises:
        ConfigError: there is no such step.
    """
    return _kind(name, Step, STEPS, "step")


def _from_words(words: str) -> Recipe:
    if words.startswith("{"):
        raise ConfigError(
            f"--recipe {words} is not valid JSON. In a shell, put it into single quotes; in TOML or Python, give a "
            "mapping instead of text."
        )
    first, *others = words.split("+")
    steps = [word for word in others if word not in MIXES]
    mixes = [word for word in others if word in MIXES]
    _check_order(words, first, steps, mixes)
    spec: dict[str, Any] = {"name": "replay", "function": first} if is_outside(first) else {"name": first}
    if steps:
        spec = {"name": "chain", "base": spec, "steps": steps}
    if mixes:
        spec = {"name": "mixed", "base": spec, **{mix: MIXES[mix] for mix in mixes}}
    return _one(spec, Recipe, RECIPES, "recipe")


def _check_order(words: str, first: str, steps: list[str], mixes: list[str]) -> None:
    """Refuse words that stand where they cannot, and say what was meant."""
    bases = [word for word in (first, *steps) if word in recipe_names() or is_outside(word)]
    if len(bases) > 1:
        raise ConfigError(
            f"--recipe {words}: {bases[0]!r} and {bases[1]!r} both make views; one of them comes first, then steps "
            f"such as {step_names()[0]}. Views of several kinds that take turns are the recipe 'groups'."
        )
    if first in (*step_names(), *MIXES):
        base = bases[0] if bases else "cifar"
        others = [word for word in (first, *steps, *mixes) if word != base]
        ordered = sorted(others, key=lambda word: word in MIXES)
        raise ConfigError(
            f"--recipe {words}: {first!r} is done to a recipe's views; begin with one: {'+'.join([base, *ordered])}."
        )
    if words.split("+") != [first, *steps, *mixes]:
        raise ConfigError(f"--recipe {words}: mixing comes last; write {'+'.join([first, *steps, *mixes])}.")
    if len(set(mixes)) < len(mixes):
        raise ConfigError(f"--recipe {words}: {mixes[0]!r} stands there twice; a view is mixed once.")


def _one(spec: Mapping[str, Any], base: type[Some], package: str, noun: str) -> Some:
    name = spec.get("name")
    if name is None:
        found = f"only {', '.join(map(str, spec))}" if spec else "nothing"
        raise ConfigError(f'A {noun} is described by its name and its knobs, as {{"name": …}}; found {found}.')
    kind = _kind(str(name), base, package, noun)
    return build(kind, dict(spec), origin=f"{noun} {name}")


def _kind(name: str, base: type[Some], package: str, noun: str) -> type[Some]:
    kinds = _kinds(base, package)
    if name not in kinds:
        raise ConfigError(f"There is no {noun} {name!r}; {did_you_mean(name, kinds)}")
    return kinds[name]


def _kinds(base: type[Some], package: str) -> dict[str, type[Some]]:
    """Each class whose `name` is the name of its own file."""
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
    named = {kind.model_fields["name"].default: kind for kind in _below(base)}
    return {name: kind for name, kind in named.items() if kind.__module__ == f"{package}.{name}"}


def _below(base: type[Some]) -> Iterator[type[Some]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _below(kind)
