"""Recipes made of recipes: what is true of the ones inside is true of the whole."""

from abc import abstractmethod

from cache_kd.types import Pictures, Views
from cache_kd.views.recipe import Recipe


class Composite(Recipe):
    """A recipe around others; test images are shown as the first of them shows them."""

    @property
    @abstractmethod
    def inside(self) -> tuple[Recipe, ...]:
        """The recipes that this one is made of, at least one."""

    def evaluate(self, pictures: Pictures) -> Views:
        """As the first one inside does."""
        return self.inside[0].evaluate(pictures)

    def changed(self) -> str | None:
        """What any one inside says, each thing once."""
        return "; ".join(dict.fromkeys(said for recipe in self.inside if (said := recipe.changed()))) or None

    @property
    def cpu_only(self) -> bool:
        """Whether any one inside is: mixing and steps run anywhere."""
        return any(recipe.cpu_only for recipe in self.inside)

    @property
    def takes_the_generators(self) -> bool:
        """Whether any one inside does."""
        return any(recipe.takes_the_generators for recipe in self.inside)

    @property
    def functions(self) -> tuple[str, ...]:
        """Those of all inside, each once."""
        return tuple(dict.fromkeys(name for recipe in self.inside for name in recipe.functions))

    @property
    def cycle(self) -> int:
        """As the first one inside."""
        return self.inside[0].cycle
