import dataclasses
import math
from fractions import Fraction

import pytest
import torch
from natural import by_torchvision, natural
from torchvision.transforms import v2

from cache_kd.views.ops import operations
from cache_kd.views.ops.fixed import ONE
from cache_kd.views.ops.operations import AUTOAUGMENT, SIGNED, Operation, apply
from cache_kd.views.steps.randaugment import STRENGTHS
from cache_kd.views.steps.trivialaugment import WIDE

THEIR_NAMES = {
    Operation.IDENTITY: "Identity", Operation.SHEAR_X: "ShearX", Operation.SHEAR_Y: "ShearY",
    Operation.TRANSLATE_X: "TranslateX", Operation.TRANSLATE_Y: "TranslateY", Operation.ROTATE: "Rotate",
    Operation.BRIGHTNESS: "Brightness", Operation.SATURATION: "Color", Operation.CONTRAST: "Contrast",
    Operation.SHARPNESS: "Sharpness", Operation.POSTERIZE: "Posterize", Operation.SOLARIZE: "Solarize",
    Operation.AUTOCONTRAST: "AutoContrast", Operation.EQUALIZE: "Equalize", Operation.INVERT: "Invert",
}  # fmt: skip
SPACES = {
    "randaugment": (STRENGTHS, v2.RandAugment()),
    "trivialaugment": (WIDE, v2.TrivialAugmentWide()),
    "autoaugment": (AUTOAUGMENT, v2.AutoAugment()),
}
BLENDS = (Operation.BRIGHTNESS, Operation.SATURATION, Operation.CONTRAST, Operation.SHARPNESS, Operation.AUTOCONTRAST)
GEOMETRY = (Operation.SHEAR_X, Operation.SHEAR_Y, Operation.ROTATE)


def _ours(pixels, operation, level, strengths):
    count = len(pixels)
    return apply(pixels, torch.full((count,), int(operation)), torch.full((count,), level), strengths)


def _theirs(pixels, operation, level, strengths, transform):
    magnitudes, signed = transform._AUGMENTATION_SPACE[THEIR_NAMES[operation]]
    assert signed == (operation in SIGNED)
    values = magnitudes(strengths.highest + 1, *pixels.shape[1:3])
    # a level's exact value: float32 leaves whole numbers of pixels and thresholds now and then a hair off
    exact = 0.0 if values is None else float(Fraction(float(values[abs(level)])).limit_denominator(10_000))
    magnitude = math.copysign(exact, level)
    return by_torchvision(
        lambda picture: transform._apply_image_or_video_transform(
            picture, THEIR_NAMES[operation], magnitude, "nearest", {}
        ),
        pixels,
    )


def _decided(operation, level, strengths, height, width):
    """Which pixels are not fetched from the middle between two others, where float32 draws lots."""
    row, column = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    share = level / strengths.highest
    if operation is Operation.SHEAR_X:
        column = column + share * float(strengths.shear) * (row + 0.5)
    elif operation is Operation.SHEAR_Y:
        row = row + share * float(strengths.shear) * (column + 0.5)
    else:
        angle, down, across = math.radians(share * strengths.rotation), row - (height - 1) / 2, column - (width - 1) / 2
        column = math.cos(angle) * across - math.sin(angle) * down + (width - 1) / 2
        row = math.sin(angle) * across + math.cos(angle) * down + (height - 1) / 2
    return ((column % 1 - 0.5).abs() > 0.001) & ((row % 1 - 0.5).abs() > 0.001)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_is_torchvisions(space, operation, channels):
    strengths, transform = SPACES[space]
    if THEIR_NAMES[operation] not in transform._AUGMENTATION_SPACE:
        assert (space, operation) in {
            ("autoaugment", Operation.IDENTITY),
            ("randaugment", Operation.INVERT),
            ("trivialaugment", Operation.INVERT),
        }
        return
    pixels = natural(2, 32, 38, channels)
    for level in range(-strengths.highest if operation in SIGNED else 0, strengths.highest + 1):
        ours = _ours(pixels, operation, level, strengths)
        theirs = _theirs(pixels, operation, level, strengths, transform)
        if operation in GEOMETRY:
            decided = _decided(operation, level, strengths, 32, 38)
            assert decided.float().mean() > 0.7
            assert torch.equal(ours[:, decided], theirs[:, decided]), level
        elif operation in BLENDS:
            assert (ours.int() - theirs.int()).abs().max() <= 1, level
        else:
            assert torch.equal(ours, theirs), level


@pytest.mark.parametrize("operation", set(Operation) - {Operation.IDENTITY})
def test_every_operation_does_something(operation):
    pixels = natural(3, 32, 32) // 2 + 40
    assert not torch.equal(_ours(pixels, operation, 20, STRENGTHS), pixels)


def test_rows_keep_their_places_whatever_is_drawn_beside_them(monkeypatch):
    pixels = natural(60, 16, 20)
    drawn = torch.arange(60) * 7 % len(Operation)
    levels = torch.where((drawn >= 1) & (drawn < 10), torch.arange(60) % 31 - 15, 9)
    alone = [apply(pixels[row, None], drawn[row, None], levels[row, None], STRENGTHS) for row in range(60)]
    for block in (1, 3_000, operations.BLOCK):
        monkeypatch.setattr(operations, "BLOCK", block)
        assert torch.equal(apply(pixels, drawn, levels, STRENGTHS), torch.cat(alone))


@pytest.mark.parametrize("strengths", [AUTOAUGMENT, STRENGTHS, WIDE])
def test_no_cosine_or_sine_is_near_half_a_step(strengths):
    # the last digit of a library's cosine is 1e-16, which is 1e-11 steps of 1/65536
    for level in range(strengths.highest + 1):
        angle = math.radians(level * strengths.rotation / strengths.highest)
        for value in (math.cos(angle), math.sin(angle)):
            assert abs(ONE * value % 1 - 0.5) > 1e-6


def test_whole_numbers_are_cut_off_and_parts_are_rounded_alike_for_both_signs():
    strengths = dataclasses.replace(AUTOAUGMENT, highest=10)
    levels = torch.tensor([-10, -7, -1, 0, 1, 7, 10])
    assert strengths.whole(levels, Fraction(5)).tolist() == [-5, -3, 0, 0, 0, 3, 5]
    assert strengths.fixed(levels, Fraction(1, ONE)).tolist() == [-1, -1, 0, 0, 0, 1, 1]
