"""What is taken where the user gives no recipe: what the literature takes on this data, and that is said."""

from collections.abc import Mapping
from typing import Any

from cache_kd.progress import Progress
from cache_kd.sources.preset import preset_of
from cache_kd.sources.source import SourceSpec

OTHERWISE = "cifar"  # on data that has no preset


def settled_recipe(
    asked: str | Mapping[str, Any] | None, spec: SourceSpec, progress: Progress
) -> str | Mapping[str, Any]:
    """`asked`, or the usual recipe of the data where nothing is asked for, announced to `progress`."""
    if asked is not None:
        return asked
    preset = preset_of(spec)
    words = preset.recipe if preset else OTHERWISE
    progress.say(f"No --recipe is given: {words}, {f'the usual one on {preset.title}' if preset else 'the default'}.")
    return words


def usual_normalise(spec: SourceSpec) -> str | None:
    """The normalisation that models of this data are trained with, by its name; None for data that has no preset."""
    preset = preset_of(spec)
    return preset.normalise if preset else None
