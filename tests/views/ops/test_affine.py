import math

import pytest
import torch
from natural import by_torchvision, natural
from torchvision.transforms.v2 import functional

from cache_kd.views.ops.affine import affine, shear_x, shear_y, shift, turn
from cache_kd.views.ops.fixed import ONE


def _fixed(pixels, value):
    return torch.full((len(pixels),), round(value * ONE))


def _turned(pixels, degrees):
    angle = math.radians(degrees)
    return affine(pixels, turn(_fixed(pixels, math.cos(angle)), _fixed(pixels, math.sin(angle)), *pixels.shape[1:3]))


def _their_shear(picture, across, down):
    degrees = [math.degrees(math.atan(across)), math.degrees(math.atan(down))]
    return functional.affine(picture, 0.0, [0, 0], 1.0, degrees, center=[0, 0])


def _equal_pixels(ours, theirs):
    return (ours == theirs).all(3).float().mean()


@pytest.mark.parametrize("size", [(32, 32), (31, 44), (224, 224)])
@pytest.mark.parametrize("amount", [-0.99, -0.3, -0.09, 0.01, 0.3, 0.7])
def test_shears_are_torchvisions(size, amount):
    pixels = natural(2, *size)
    for matrix, direction in ((shear_x, (amount, 0.0)), (shear_y, (0.0, amount))):
        theirs = by_torchvision(_their_shear, pixels, *direction)
        # sums that are a hair from the middle between two pixels; none at most sizes
        assert _equal_pixels(affine(pixels, matrix(_fixed(pixels, amount))), theirs) >= 0.999


@pytest.mark.parametrize("size", [(32, 32), (31, 44), (224, 224)])
@pytest.mark.parametrize("degrees", [-135, -30, -9, 1, 4.5, 10 / 3, 45, 89, 120])
def test_turns_are_torchvisions(size, degrees):
    pixels = natural(2, *size)
    theirs = by_torchvision(functional.rotate, pixels, degrees)
    # the same sums, rounded to 1/65536 here and to float32 there
    assert _equal_pixels(_turned(pixels, degrees), theirs) >= 0.995


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-5, 0), (0, 4), (0, -1), (2, -7), (40, 0)])
def test_shifts_are_torchvisions(right, down):
    pixels = natural(2, 32, 33)
    matrix = shift(torch.full((2,), right), torch.full((2,), down))
    theirs = by_torchvision(functional.affine, pixels, 0.0, [right, down], 1.0, [0.0, 0.0])
    assert torch.equal(affine(pixels, matrix), theirs)


def test_quarter_and_half_turns_are_exact():
    pixels = natural(2, 9, 9)
    assert torch.equal(_turned(pixels, 90), pixels.rot90(1, (1, 2)))
    assert torch.equal(_turned(pixels, -90), pixels.rot90(-1, (1, 2)))
    oblong = natural(2, 8, 13)
    assert torch.equal(_turned(oblong, 180), oblong.flip(1, 2))


def test_a_shear_moves_each_row_by_its_depth_to_the_nearest_pixel():
    pixels = torch.arange(1, 17, dtype=torch.uint8).reshape(1, 4, 4, 1)
    # rows lie 0.5, 1.5, 2.5 and 3.5 deep; of these 0.4: 0.2, 0.6, 1.0, 1.4
    sheared = affine(pixels, shear_x(_fixed(pixels, 0.4)))[0, :, :, 0]
    assert sheared.tolist() == [[1, 2, 3, 4], [6, 7, 8, 0], [10, 11, 12, 0], [14, 15, 16, 0]]


def test_each_row_has_its_own_matrix():
    pixels = natural(3, 10, 12)
    matrix = shear_x(torch.tensor([0, 9_000, -30_000]))
    alone = [affine(pixels[row : row + 1], matrix[row : row + 1]) for row in range(3)]
    assert torch.equal(affine(pixels, matrix), torch.cat(alone))
    assert torch.equal(alone[0], pixels[:1])


def test_far_outside_everything_is_black():
    pixels = natural(2, 10, 12) // 2 + 1
    assert not affine(pixels, shift(torch.tensor([12, -9_000]), torch.tensor([0, 9_000]))).any()
