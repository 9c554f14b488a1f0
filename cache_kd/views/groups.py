"""Views of several kinds that take turns: two large crops of a picture, then six small ones."""

import math
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny

from cache_kd.config import Config
from cache_kd.types import Samples, ViewTensor
from cache_kd.views.composite import Composite
from cache_kd.views.find import make_base
from cache_kd.views.recipe import CPU, Album, Recipe


class Group(Config):
    """`count` views in a row of one recipe, any but `mixed`, which goes around the groups."""

    recipe: Annotated[SerializeAsAny[Recipe], BeforeValidator(make_base)]
    count: Annotated[int, Field(ge=1)]


class Groups(Composite):
    """View v is of the group that v modulo all counts falls into. Test images are the first group's.

    Views of one group have one size, those of another group another. Several views of one kind need no groups:
    any recipe gives as many as are asked for. Multi-crop, 2x224 + 6x96:

    >>> from cache_kd.views import make_recipe
    >>> large = {"name": "rrc", "size": 224, "scale": (0.14, 1.0)}
    >>> small = {"name": "rrc", "size": 96, "scale": (0.05, 0.14)}
    >>> groups = [{"recipe": large, "count": 2}, {"recipe": small, "count": 6}]
    >>> multi_crop = make_recipe({"name": "groups", "groups": groups})
    >>> multi_crop.cycle, [multi_crop.of_view(view).size for view in range(9)]
    (8, [224, 224, 96, 96, 96, 96, 96, 96, 224])

    References:
        Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, NeurIPS 2020.
    """

    name: Literal["groups"] = "groups"
    groups: Annotated[tuple[Group, ...], Field(min_length=1)]

    def of_view(self, view: int) -> Recipe:
        """The recipe of view number `view`."""
        turns = [group.recipe for group in self.groups for _ in range(group.count)]
        return turns[view % len(turns)]

    @property
    def inside(self) -> tuple[Recipe, ...]:
        """One for each group."""
        return tuple(group.recipe for group in self.groups)

    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """What the group's recipe makes of the same view number; see `Recipe.view`."""
        return self.of_view(view).view(album, seed, samples, view, device)

    @property
    def cycle(self) -> int:
        """All counts together, and as often as kinds within a group need to come round too."""
        counts = sum(group.count for group in self.groups)
        return math.lcm(counts, *(recipe.cycle for recipe in self.inside))
