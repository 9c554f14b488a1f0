"""The ranges that a method's knobs declare in its signature; `make_method` holds users to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from cache_kd.schedule import Course

LEAST = 1e-4  # times its square a loss is still a number that teaches
MOST = 1e12  # squared it is still a float32

Positive = Annotated[float, Field(ge=LEAST, le=MOST, allow_inf_nan=False)]  # a temperature
NonNegative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]  # a weight or an exponent
Fraction = Annotated[float, Field(gt=0, lt=1)]  # a probability that is neither impossible nor certain
Finite = Annotated[float, Field(allow_inf_nan=False)]  # either sign


@dataclass(frozen=True, kw_only=True)
class Published:
    """What the authors set for one data set, where it is not the signature's default; None: as in the signature.

    Attributes:
        knobs: of the method's function.
        hard_weight: of the cross-entropy with the labels.
        soft_weight: of the method's terms.
    """

    knobs: Mapping[str, Any] = field(default_factory=dict)
    hard_weight: float | Course | None = None
    soft_weight: float | Course | None = None

    def __str__(self) -> str:
        """`tau=1.0, hard_weight=0.5`; a course in words."""
        weights = {"hard_weight": self.hard_weight, "soft_weight": self.soft_weight}
        given = {**self.knobs, **{name: weight for name, weight in weights.items() if weight is not None}}
        return ", ".join(f"{name}={value}" for name, value in given.items())
