"""What the tests of views share: pictures made from integers, an album of them, and one setting of every recipe."""

from dataclasses import dataclass

import numpy as np

from cache_kd.views import make_recipe, recipe_names, step_names


class Rule:
    """Recorded boxes of any sample in any view, by a rule."""

    def rows(self, view, samples):
        """Somewhere in the picture, every third one mirrored."""
        number = samples * 7 + view * 13
        corner = np.stack([number % 5, number % 3], axis=1) / 16
        sides = np.stack([6 + number % 4, 5 + number % 6], axis=1) / 16
        return np.column_stack([corner, sides, number % 3 == 0]).astype(np.float32)


# what stands for a recipe that needs more than its name, or is small enough to test only with other knobs
EXAMPLES = {
    "chain": "cifar+cutout",
    "groups": {"name": "groups", "groups": [{"recipe": "cifar", "count": 2}, {"recipe": "cifar+cutout", "count": 1}]},
    "mixed": "cifar+mixup+cutmix",
    "recorded": make_recipe({"name": "recorded", "table": "0" * 64, "size": 24}).equipped(Rule()),
    "replay": "own_transforms:of_all_three",
    "rrc": {"name": "rrc", "size": 24},
}
SETTINGS = {name: EXAMPLES.get(name, name) for name in recipe_names()} | {
    f"cifar+{name}": f"cifar+{name}" for name in step_names()
}


def make_pictures(count=12, height=32, width=32, channels=3):
    """Smooth ramps with texture, no two alike."""
    sample, row, column, channel = np.ogrid[:count, :height, :width, :channels]
    ramp = 37 * sample + 5 * row + 3 * column + 61 * channel + row * column // 4
    return (ramp + (sample + 1) * (row % 7) * (column % 5) & 255).astype(np.uint8)


@dataclass
class Shown:
    """Pictures as an album; `first` is the sample number of the first of them."""

    pictures: np.ndarray | list
    first: int = 0

    def __len__(self):
        return self.first + len(self.pictures)

    def images(self, samples):
        if isinstance(self.pictures, list):
            return [self.pictures[sample - self.first] for sample in samples]
        return self.pictures[samples - self.first]
