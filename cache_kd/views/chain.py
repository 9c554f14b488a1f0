"""A recipe and what is done to its views afterwards: crop and flip, then RandAugment, then erasing."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.types import KnobTensor, PixelTensor, Samples, ViewTensor
from cache_kd.views.composite import Composite
from cache_kd.views.find import make_base, make_step
from cache_kd.views.recipe import CPU, Album, Recipe
from cache_kd.views.step import Step

# bytes of pixels that the CPU takes at once: scratch space then stays in its cache. Colour jitter of 64 views of
# 224x224x3 takes 2.5 ms each, all at once 4.0 ms
BLOCK = 1 << 20


def _base(spec: Any) -> Recipe:
    base = make_base(spec)
    inner = next(_chains(base), None)
    if inner is not None:
        raise ConfigError(
            "The recipe 'chain' stands inside another one; both would draw the same random words for their steps. "
            f"Write the inner steps, {', '.join(step.name for step in inner.steps)}, and the outer ones in one list; "
            "around 'groups', in the list of each group."
        )
    return base


def _chains(recipe: Recipe) -> "Iterator[Chain]":
    if isinstance(recipe, Chain):
        yield recipe
    elif isinstance(recipe, Composite):
        for inner in recipe.inside:
            yield from _chains(inner)


def _steps(values: Any) -> Any:
    if not isinstance(values, list | tuple):
        return values  # pydantic refuses it by name
    return tuple(make_step(value) if isinstance(value, str | Mapping) else value for value in values)


class Chain(Composite):
    """The views of `base`, then each of `steps` in order. Test images are only framed, by `base`.

    A step has its words under its own place and name, so that changing one leaves the others' choices as they were.

    Attributes:
        base: any recipe whose views have one size, without steps of its own and not `mixed`.
        steps: names, or mappings with a name and knobs.
    """

    name: Literal["chain"] = "chain"
    base: Annotated[SerializeAsAny[Recipe], BeforeValidator(_base)]
    steps: Annotated[tuple[SerializeAsAny[Step], ...], BeforeValidator(_steps), Field(min_length=1)]

    @property
    def inside(self) -> tuple[Recipe, ...]:
        """The base."""
        return (self.base,)

    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """Frame, then step by step; see `Recipe.view`."""
        pixels = self.base.view(album, seed, samples, view, device)
        for place, step in enumerate(self.steps):
            _check_channels(step, pixels.shape[3])
            drawn = words(seed, f"step {place}: {step.name}", samples, view, step.word_count)
            knobs = torch.from_numpy(step.draw(drawn, *pixels.shape[1:3]))
            pixels = _apply(step, pixels, knobs.to(device))
        return pixels


def _check_channels(step: Step, channels: int) -> None:
    if channels not in (1, 3) and not step.takes_any_channels:
        raise ConfigError(
            f"The step {step.name!r} takes grey or RGB views; these have {channels} channels. Leave it out, or bring "
            "the images to one or three channels first."
        )


def _apply(step: Step, pixels: PixelTensor, knobs: KnobTensor) -> PixelTensor:
    """Block by block on the CPU; a row knows of no other."""
    if pixels.device.type != "cpu":
        return step.apply(pixels, knobs)
    rows = max(1, BLOCK // pixels.shape[1:].numel())
    blocks = zip(torch.split(pixels, rows), torch.split(knobs, rows), strict=True)
    return torch.cat([step.apply(*block) for block in blocks])
