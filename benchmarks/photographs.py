"""A tree of JPEG files of different sizes, cut from the photographs that scikit-image ships."""

from pathlib import Path

import numpy as np
import skimage
from PIL import Image

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg")
QUALITY = 95  # about 80 kB each, 4:2:0; ImageNet's mean is 110 kB
SIDES = (330, 520)  # least and greatest height and width, pixels


def photograph_tree(top: Path, count: int) -> Path:
    """`count` crops in DIR/train/CLASS, their sizes and places drawn with a fixed seed; one class per photograph."""
    folder = Path(skimage.__file__).parent / "data"
    drawn = np.random.default_rng(0)
    for number in range(count):
        name = PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
        with Image.open(folder / name) as image:
            photograph = image.convert("RGB")
        width, height = (int(min(drawn.integers(*SIDES), side)) for side in photograph.size)
        left, top_row = (
            int(drawn.integers(0, side - length + 1))
            for side, length in zip(photograph.size, (width, height), strict=True)
        )
        crop = photograph.crop((left, top_row, left + width, top_row + height))
        place = top / "train" / Path(name).stem
        place.mkdir(parents=True, exist_ok=True)
        crop.save(place / f"{number:03}.jpg", quality=QUALITY)
    return top
