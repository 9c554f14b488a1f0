"""Recipes that bring a picture to its view by integer knobs: where to crop, how to turn."""

from abc import abstractmethod

import numpy as np
import torch

from cache_kd.errors import ConfigError
from cache_kd.keyed.philox import words
from cache_kd.types import Knobs, KnobTensor, Pictures, Pixels, PixelTensor, Samples, Sizes, Views, ViewTensor, Words
from cache_kd.views.recipe import CPU, Album, Recipe

PURPOSE = "view"


class Frame(Recipe):
    """Keyed words become integer knobs, knobs become pixels.

    The CPU renders with numpy, which is faster there and never takes a second thread; other devices with torch.
    """

    @property
    @abstractmethod
    def word_count(self) -> int:
        """32-bit random words that `draw` takes per view."""

    @abstractmethod
    def draw(self, words: Words, sizes: Sizes) -> Knobs:
        """The knobs of one view of each picture, from `word_count` random words and its size."""

    @abstractmethod
    def render(self, pictures: Pictures, knobs: Knobs) -> Views:
        """The views that `knobs` describe, one per picture.

        Raises:
            ConfigError: pictures of these sizes or channels cannot be rendered by this recipe.
        """

    def render_tensor(self, pixels: PixelTensor, knobs: KnobTensor) -> ViewTensor:
        """The very pixels of `render`, by tensor operations on any device.

        Raises:
            ConfigError: this recipe is tied to the CPU.
        """
        del knobs
        raise ConfigError(
            f"The recipe {self.name!r} renders on the CPU only; {pixels.device} was asked for. "
            "Leave --render at cpu: the pixels are then the same on every machine."
        )

    def view(self, album: Album, seed: int, samples: Samples, view: int, device: torch.device = CPU) -> ViewTensor:
        """Draw, then render; see `Recipe.view`."""
        pictures = album.images(samples)
        knobs = self.draw(words(seed, PURPOSE, samples, view, self.word_count), sizes_of(pictures))
        if device.type == "cpu":
            return torch.from_numpy(np.ascontiguousarray(self.render(pictures, knobs)))
        pixels = torch.from_numpy(one_size(pictures, self.name)).to(device, non_blocking=True)
        return self.render_tensor(pixels, torch.from_numpy(knobs).to(device, non_blocking=True))


def sizes_of(pictures: Pictures) -> Sizes:
    """Height and width of each picture."""
    if isinstance(pictures, np.ndarray):
        return np.tile(np.array(pictures.shape[1:3]), (len(pictures), 1))
    return np.array([picture.shape[:2] for picture in pictures]).reshape(-1, 2)


def one_size(pictures: Pictures, recipe: str) -> Pixels:
    """`pictures` as one array, for a recipe that keeps the size of its images.

    Raises:
        ConfigError: they have more than one size.
    """
    if isinstance(pictures, np.ndarray):
        return pictures
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) > 1:
        found = " and ".join("x".join(map(str, shape)) for shape in (shapes[0], shapes[-1]))
        raise ConfigError(
            f"The recipe {recipe!r} keeps the size of its images and needs one size; here are {found}, among others. "
            "Use the recipe 'rrc', which resizes, or bring the images to one size first."
        )
    return np.stack(pictures)
