"""What a method says of itself: paper, knobs and notes from its docstring, roles and needs from the method."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cache_kd.distill import Role, lends, needs_of, roles_of
from cache_kd.distill.compose import NOUN
from cache_kd.methods import DATA_SETS, factory_of, make_method, published_for, required_knobs

UNKNOWN = "not known before its knobs are"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a user wants to know of a method before training with it."""

    name: str
    paper: str  # authors, title, year and identifier: the first paragraph of the docstring
    knobs: Mapping[str, Any]  # name -> default; None where a value must be given
    weights: tuple[float, float] | None  # of labels and of terms; None where the knobs are not known
    roles: tuple[Role, ...] | None  # what it does in its own way; empty: it is plain KD; None as above
    lends: tuple[Role, ...] | None  # what other methods can borrow; None as above
    fixed: Mapping[Role, str] | None  # what it cannot borrow, and why; None as above
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
        facts["Its own"] = in_words(self.roles, none="nothing: this is plain KD")
        facts["Lends"] = in_words(self.lends, none="nothing")
        facts |= {f"Keeps its {NOUN[role]}": why for role, why in (self.fixed or {}).items()}
        facts["Needs"] = self.needs
        return facts | {f"--published {data_set}": numbers for data_set, numbers in self.published.items()}


def in_words(roles: tuple[Role, ...] | None, *, none: str) -> str:
    """`refinement, divergence`; `none` where there is no role."""
    return UNKNOWN if roles is None else ", ".join(NOUN[role] for role in roles) or none


def describe(name: str) -> Description:
    """Paper, knobs, roles and needs of a method, read from its signature, its docstring and itself.

    Raises:
        ConfigError: no method has this name.
    """
    factory = factory_of(name)
    text = inspect.getdoc(factory) or ""
    parameters = inspect.signature(factory).parameters
    method = None if required_knobs(name) else make_method(name)
    return Description(
        name=name,
        paper=_first_paragraph(text),
        knobs={
            knob: None if parameter.default is parameter.empty else parameter.default
            for knob, parameter in parameters.items()
        },
        weights=(method.hard_weight, method.soft_weight) if method else None,
        roles=roles_of(method) if method else None,
        lends=lends(method) if method else None,
        fixed=method.fixed if method else None,
        needs=str(needs_of(method)) if method else UNKNOWN,
        published={of: str(numbers) for of in DATA_SETS if (numbers := published_for(name, of))},
        text=text,
    )


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
