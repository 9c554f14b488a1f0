"""The self-test of a recipe: some rows are rendered twice before a teacher sees any, and must come out the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from cache_kd.errors import ConfigError
from cache_kd.keyed.feistel import row_at
from cache_kd.types import Digests, Samples, Views
from cache_kd.views import Album, Recipe, digests
from cache_kd.views.generators import held_generators, seed_generators
from cache_kd.views.memory import generators_of, moved, packages_of, snapshot
from cache_kd.views.replay import module_of

ROWS = 32
SMALL_BATCH = 5  # of the second rendering; divides neither the rows nor a usual period
SHOWN = 3  # places of state that an error names

MEND = (
    "Every view must follow from its seed, sample and number alone: draw from random, numpy.random or torch's default "
    "generator, which are seeded before every picture, and keep nothing from one call to the next."
)
ALBUMENTATIONS = (
    " albumentations draws from generators of its own: call set_random_seed(random.getrandbits(32)) on its Compose "
    "before each picture."
)


def check_replays(recipe: Recipe, album: Album, seed: int, *, plain: bool = False) -> None:
    """Render 32 keyed rows, then again backwards, in other batches and with other ambient generators.

    What a first call sets for good escapes it, because the second rendering follows in the same process; the pixels
    that a store keeps do not let it through. Costs 64 views; the caller's generators are not touched.

    Args:
        recipe: any, of the package or with a function of the user's.
        album: where the pictures are; one of fewer samples is shown whole.
        seed: of the views.
        plain: render test images instead of views.

    Raises:
        ConfigError: some rows differ: how many, and the likely reason, found by rendering them again.
    """
    trial = _Trial(recipe, album, seed, plain)
    with held_generators():
        different = int((trial.render() != trial.render(backwards=True, ambient=1)).sum())
        if different:
            raise ConfigError(
                f"{', '.join(recipe.functions) or f'The recipe {recipe.name!r}'} does not replay: {different} of "
                f"{len(trial.samples)} rows differ when they are rendered again in another order, in other batches "
                f"and with other states of the random generators, so a student would not see what its teacher saw. "
                f"Likely reason: {_reason(trial)} {MEND}"
            )


@dataclass(frozen=True)
class _Trial:
    """Some rows of an album, to be rendered as often as it takes."""

    recipe: Recipe
    album: Album
    seed: int
    plain: bool

    @property
    def samples(self) -> Samples:
        """Keyed ones, and at least one for every kind of view."""
        count = len(self.album)
        picked = row_at(self.seed, "self-test", np.arange(min(ROWS, count)), count)
        return np.resize(picked, max(len(picked), self._kinds))

    def render(self, *, backwards: bool = False, ambient: int = 0) -> Digests:
        """The digests of all rows; `ambient` seeds the generators that a recipe may not depend on."""
        seed_generators(ambient, ambient, ambient)
        samples = self.samples
        found = np.empty(len(samples), dtype=np.uint32)
        for view, rows in self._batches(len(samples), backwards):
            found[rows] = digests(self._pixels(samples[rows], view))
        return found

    @property
    def _kinds(self) -> int:
        return 1 if self.plain else self.recipe.cycle

    def _batches(self, count: int, backwards: bool) -> Iterator[tuple[int, Samples]]:
        """Views in turn, row r in view r modulo the kinds: each in one batch, or backwards in small ones."""
        step, size = (-1, SMALL_BATCH) if backwards else (1, count)
        for view in range(self._kinds)[::step]:
            rows = np.arange(view, count, self._kinds)[::step]
            yield from ((view, rows[start : start + size]) for start in range(0, len(rows), size))

    def _pixels(self, samples: Samples, view: int) -> Views:
        if self.plain:
            return self.recipe.evaluate(self.album.images(samples))
        pixels: Views = self.recipe.view(self.album, self.seed, samples, view).numpy()
        return pixels


def _reason(trial: _Trial) -> str:
    """What is found by rendering once more, exactly alike, then with other ambient generators only."""
    modules = list(dict.fromkeys(module_of(name) for name in trial.recipe.functions))
    hint = ALBUMENTATIONS if any("albumentations" in packages_of(module) for module in modules) else ""
    before = [snapshot(module) for module in modules]
    once = trial.render()
    kept = [path for module, values in zip(modules, before, strict=True) for path in _kept(module, values)]
    if kept:
        return f"it keeps state from call to call, in {', '.join(kept)}.{hint}"
    if (trial.render() != once).any():
        return (
            "it reads the clock or the system's entropy, or draws from a generator inside a library: rows differ even "
            f"when rendered again exactly alike, and nothing that its module keeps was seen to change.{hint}"
        )
    if (trial.render(ambient=1) != once).any():
        return "it draws from a global generator of the process that nothing seeds for it."
    return "order and batches alone change it: it keeps state that comes round again, or draws once per batch."


def _kept(module: ModuleType, before: dict[str, Any]) -> list[str]:
    """What moved since, such as `transform.rng (a numpy.random.Generator)`; the first few."""
    drawing = generators_of(module)
    paths = moved(before, snapshot(module))[:SHOWN]
    return [f"{module.__name__}.{path}" + (f" (a {drawing[path]})" if path in drawing else "") for path in paths]
