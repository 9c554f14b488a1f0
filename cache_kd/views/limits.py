"""Lower and upper limits of what is drawn at random, as types that a config checks."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the lower limit comes first")
    return limits


def _around_one(limits: Any) -> Any:
    return (max(0.0, 1 - limits), 1 + limits) if _is_strength(limits) else limits


def _around_zero(limits: Any) -> Any:
    return (-limits, limits) if _is_strength(limits) else limits


def _is_strength(limits: Any) -> bool:
    if not isinstance(limits, int | float):
        return False
    if limits < 0:
        raise ValueError("a single number is a strength, at least 0; or give both limits, [lowest, highest]")
    return True


# of a view or of what is put on it, pixels; `ops.affine` computes in 32 bits up to there
Side = Annotated[int, Field(ge=1, le=16_000)]

# share of a picture's area
Share = Annotated[float, Field(gt=0, le=1)]
ShareLimits = Annotated[tuple[Share, Share], AfterValidator(_ordered)]

# of two sides; within the reach of `box.exp`
Ratio = Annotated[float, Field(ge=0.01, le=100)]
RatioLimits = Annotated[tuple[Ratio, Ratio], AfterValidator(_ordered)]

# of brightness, contrast or saturation; 1 changes nothing, and a single number x means 1 - x ... 1 + x
Factor = Annotated[float, Field(ge=0, le=100)]
FactorLimits = Annotated[tuple[Factor, Factor], BeforeValidator(_around_one), AfterValidator(_ordered)]

# of the circle of hues; 0 changes nothing, and a single number x means -x ... x
Turn = Annotated[float, Field(ge=-0.5, le=0.5)]
TurnLimits = Annotated[tuple[Turn, Turn], BeforeValidator(_around_zero), AfterValidator(_ordered)]
