"""Transforms as users write them, named by the tests as `own_view:name`."""

import random

import numpy as np
import torch
from torchvision.transforms import v2

MEMORY = np.random.default_rng()


def turned(picture):
    """A quarter turn more or less, by Python's generator, then a brightness by torch's."""
    factor = 0.5 + torch.rand(1).item()
    return picture.rotate(90 * random.randrange(4)).point(lambda value: int(value * factor))


def forgetful(picture):
    """Draws from a generator of its own, so no seed of ours reaches it."""
    return picture.rotate(90 * int(MEMORY.integers(4)))


small_and_plain = v2.Resize((16, 16))
small = v2.Compose([v2.RandomResizedCrop(16), v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4, 0.4)])
