"""Transforms as users write them, named by the tests as `own_transforms:name`."""

import random

import numpy as np
import torch
from PIL import ImageOps
from torchvision import transforms as v1
from torchvision.transforms import v2

# ---- that replay


def of_all_three(picture):
    """A crop by torch, a flip by Python, noise by numpy."""
    top, left = torch.randint(0, 9, (2,)).tolist()
    picture = ImageOps.expand(picture, 4).crop((left, top, left + picture.width, top + picture.height))
    if random.random() < 0.5:
        picture = ImageOps.mirror(picture)
    return np.asarray(picture) ^ np.random.randint(0, 4, np.asarray(picture).shape, dtype=np.uint8)


def unchanged(picture):
    return picture


of_torchvision_v1 = v1.Compose([
    v1.RandomResizedCrop(20),
    v1.RandomHorizontalFlip(),
    v1.RandAugment(),
    v1.RandomChoice([v1.ColorJitter(0.4, 0.4, 0.4, 0.1), v1.RandomRotation(20)]),
    v1.ToTensor(),
])  # fmt: skip

of_torchvision_v2 = v2.Compose([
    v2.ToImage(),
    v2.RandomResizedCrop(20),
    v2.RandomHorizontalFlip(),
    v2.RandAugment(),
    v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    v2.ToDtype(torch.float32, scale=True),
])  # fmt: skip

pil_of_torchvision_v2 = v2.Compose([v2.RandomCrop(32, padding=4), v2.TrivialAugmentWide()])

centre = v2.CenterCrop(20)


def jittered(picture):
    """Another test transform, which draws."""
    return v2.functional.crop(picture, random.randrange(5), random.randrange(5), 20, 20)


# ---- that give no picture


def failing(picture):
    return picture.width // 0


def failing_inside(picture):
    return v2.functional.crop(picture, None, None, None, None)


normalised = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.25] * 3)])
in_floats = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.ColorJitter(0.4)])
two_views = lambda picture: [picture, picture]  # noqa: E731
of_two_sizes = v2.RandomApply([v2.Pad(1)])


def make_transform(size=20):
    return v2.RandomCrop(20)


def of_palette(picture):
    return picture.convert("P")


def four_channels(picture):
    return torch.zeros(4, 8, 8, dtype=torch.uint8)


def of_16_bits(picture):
    return np.zeros((8, 8, 3), np.uint16)


def of_bfloat16(picture):
    return torch.zeros(3, 8, 8, dtype=torch.bfloat16)


def sparse(picture):
    return torch.zeros(3, 8, 8, dtype=torch.uint8).to_sparse()


def needing_two(picture, label):
    return picture
