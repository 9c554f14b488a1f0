"""What recipes and steps say of themselves: a sentence, papers, knobs and where they run, read from their classes."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cache_kd.config import Config
from cache_kd.errors import ConfigError, did_you_mean
from cache_kd.outside import is_outside
from cache_kd.views.find import MIXES, make_recipe, make_step, recipe_kind, recipe_names, step_kind, step_names
from cache_kd.views.recipe import Recipe
from cache_kd.views.step import Step


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One field that a user may set."""

    name: str
    takes: str  # in words: "number > 0 and <= 1"
    required: bool
    default: Any  # as JSON has it; None where a value is required


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a user wants to know of a recipe or a step before looking at its views."""

    name: str
    role: Literal["recipe", "step"]
    summary: str  # the first sentence of the docstring
    runs_on: str
    papers: tuple[str, ...]
    knobs: tuple[Knob, ...]
    text: str  # the whole docstring

    @property
    def reference(self) -> str:
        """The papers in short: `Yun et al., 2019`."""
        return "; ".join(re.sub(r",.*\b((?:19|20)\d\d)\b.*", r", \1", paper) for paper in self.papers)

    @property
    def needs(self) -> tuple[str, ...]:
        """Knobs without a default."""
        return tuple(knob.name for knob in self.knobs if knob.required)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The parts of what was asked for, and its JSON where it is complete."""

    parts: tuple[Description, ...]
    manifest: dict[str, Any] | None  # what a manifest holds and `--recipe` takes; None where knobs must be given


def describe_all() -> list[Description]:
    """Every recipe, then every step."""
    recipes = [_describe(recipe_kind(name), name) for name in recipe_names()]
    return recipes + [_describe(step_kind(name), name) for name in step_names()]


def explain(spec: str | Mapping[str, Any]) -> Explanation:
    """One recipe or step by its name, or every part of what words joined by + or JSON make.

    Raises:
        ConfigError: there is no such word, or it does not stand where it may.
    """
    if isinstance(spec, str) and "+" not in spec and not spec.startswith("{") and not is_outside(spec):
        return _explain_word(spec)
    recipe = make_recipe(spec)
    parts = {part.name: _describe(type(part), part.name, part) for part in _parts(recipe)}
    return Explanation(parts=tuple(parts.values()), manifest=recipe.to_json())


def _explain_word(word: str) -> Explanation:
    if word in step_names():
        step = make_step(word)
        return Explanation(parts=(_describe(type(step), word),), manifest=step.model_dump(mode="json"))
    name = "mixed" if word in MIXES else word
    if name not in recipe_names():
        known = did_you_mean(word, [*recipe_names(), *step_names(), *MIXES])
        raise ConfigError(f"There is no recipe or step {word!r}; {known}")
    described = _describe(recipe_kind(name), name)
    return Explanation(parts=(described,), manifest=None if described.needs else make_recipe(name).to_json())


def _parts(config: Config) -> Iterator[Recipe | Step]:
    """A recipe, then whatever stands inside it."""
    if isinstance(config, Recipe | Step):
        yield config
    for field in type(config).model_fields:
        value = getattr(config, field)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Config):
                yield from _parts(inner)


def _describe(kind: type[Recipe] | type[Step], name: str, made: Recipe | Step | None = None) -> Description:
    schema = kind.model_json_schema()
    text = inspect.getdoc(kind) or ""
    return Description(
        name=name,
        role="recipe" if issubclass(kind, Recipe) else "step",
        summary=_first_sentence(text),
        runs_on=_runs_on(made or kind.model_construct(), holds_recipes=made is None and "Recipe" in _inner(schema)),
        papers=_papers(text),
        knobs=tuple(_knobs(schema)),
        text=text,
    )


def _runs_on(part: Recipe | Step, *, holds_recipes: bool) -> str:
    """`part` may be constructed without its knobs: nothing of a user's is imported to find out."""
    if isinstance(part, Step):
        return "any device"
    if holds_recipes:
        return "as what it holds"
    return "CPU only" if part.cpu_only else "any device"


def _knobs(schema: Mapping[str, Any]) -> Iterator[Knob]:
    """The fields of a JSON schema that take more than one value."""
    for name, field in schema["properties"].items():
        if "const" not in field:
            takes, required = _takes(field, _inner(schema)), name in schema.get("required", ())
            yield Knob(name=name, takes=takes, required=required, default=field.get("default"))


def _inner(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("$defs", {})
    return found


def _takes(field: Mapping[str, Any], inner: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in a few words.

    >>> _takes({"type": "integer", "minimum": 1}, {}), _takes({"enum": ["cpu", "cuda"]}, {})
    ('integer >= 1', '"cpu" or "cuda"')
    >>> _takes({"type": "array", "items": {"$ref": "#/$defs/Step"}}, {})
    'list of step'
    """
    if "$ref" in field:
        kind = field["$ref"].rpartition("/")[2]
        if kind in ("Recipe", "Step"):
            return str(kind).lower()
        fields = (f"{name}: {_takes(each, inner)}" for name, each in inner[kind]["properties"].items())
        return f"{{{', '.join(fields)}}}"
    if "anyOf" in field:
        return " or ".join(_takes(each, inner) for each in field["anyOf"])
    if "const" in field or "enum" in field:
        return " or ".join(f'"{value}"' for value in field.get("enum", [field.get("const")]))
    if "prefixItems" in field:
        each = [_takes(item, inner) for item in field["prefixItems"]]
        return f"{len(each)} of {each[0]}" if len(set(each)) == 1 else f"[{', '.join(each)}]"
    if "items" in field:
        return f"list of {_takes(field['items'], inner)}"
    return f"{field.get('type', 'any')} {_limits(field)}".rstrip()


def _limits(field: Mapping[str, Any]) -> str:
    if "minimum" in field and "maximum" in field:
        return f"{field['minimum']:g} to {field['maximum']:g}"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    return " and ".join(f"{sign} {field[limit]:g}" for limit, sign in signs.items() if limit in field)


def _first_sentence(text: str) -> str:
    """
    >>> _first_sentence("As Yun et al. have it:\\na box. More.")
    'As Yun et al. have it: a box'
    """
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<!\bal)\.(?:\s|$)", paragraph)[0]


def _papers(text: str) -> tuple[str, ...]:
    """The entries below `References:`; each ends with its year.

    >>> _papers("A step.\\n\\nReferences:\\n    Ho and Ko, Boxes: Dark\\n    Ones, 2017. Mo et al., ICLR 2019.")
    ('Ho and Ko, Boxes: Dark Ones, 2017', 'Mo et al., ICLR 2019')
    """
    section = re.search(r"^References:\n((?:[ ]+.*\n?)+)", text, re.MULTILINE)
    entries = re.split(r"(?<=\d{4})[.;](?:\s+|$)", " ".join(section[1].split())) if section else []
    return tuple(entry for entry in entries if entry)
