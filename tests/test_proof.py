"""Which rows are compared, and what a difference says."""

import numpy as np
import pytest
import torch

from cache_kd.errors import PixelMismatch
from cache_kd.proof import ONE_IN, PixelProof
from cache_kd.views import digests

ROWS = 6400
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (ROWS, 4, 4, 1), dtype=np.uint8))
STORED = digests(PIXELS.numpy())
ALL = np.arange(ROWS)


def proof(check, **environment):
    stored_environment = {"pillow": "12.3", "torch": "2.4"}
    return PixelProof(
        stored=lambda view: STORED,
        seed=3,
        check=check,
        stored_environment=stored_environment,
        environment=stored_environment | environment,
    )


@pytest.mark.parametrize("check", ["all", "sample", "off"])
def test_equal_pixels_pass(check):
    proof(check)(PIXELS, ALL, 0)


def test_all_finds_one_changed_pixel_anywhere():
    changed = PIXELS.clone()
    changed[4321, 2, 1, 0] ^= 1
    with pytest.raises(PixelMismatch, match=r"Sample 4321, view 0: .* \(1 of 6400 checked rows differ\)"):
        proof("all")(changed, ALL, 0)


def checked(check, batches, view=1):
    """The batches that are looked at, by their place."""
    asked, looked = [], []
    sampled = PixelProof(
        stored=lambda view: asked.append(view) or STORED, seed=3, check=check, stored_environment={}, environment={}
    )
    for place, batch in enumerate(batches):
        sampled(PIXELS[batch], batch, view)
        if len(asked) > len(looked):
            looked.append(place)
    return looked


def test_sample_checks_the_first_batch_and_then_one_in_64():
    looked = checked("sample", [ALL[row : row + 2] for row in range(0, ROWS, 2)])
    assert looked[0] == 0
    assert 0.5 * 3200 / ONE_IN < len(looked) < 2 * 3200 / ONE_IN
    assert checked("all", np.split(ALL, 10)) == list(range(10))
    assert checked("sample", [ALL[:0], ALL[:8]]) == [1]  # an empty batch is not the first


def test_a_wrong_row_of_a_checked_batch_is_found():
    batches = np.split(ALL, 640)
    batch = batches[checked("sample", batches)[1]]
    changed = PIXELS.clone()
    changed[batch[5], 0, 0, 0] ^= 1
    sampled = proof("sample")
    sampled(changed[:10], ALL[:10], 1)
    with pytest.raises(PixelMismatch, match=rf"Sample {batch[5]}, view 1: .* \(1 of 10 checked rows differ\)"):
        sampled(changed[batch], batch, 1)


def test_batches_are_chosen_by_what_they_begin_with():
    """Another run over the same batches, or one that goes on in the middle, looks at the same ones."""
    batches = np.split(np.random.default_rng(1).permutation(ALL), 1600)
    looked = checked("sample", batches)
    assert checked("sample", batches) == looked
    assert [place + 801 for place in checked("sample", batches[801:])][1:] == [place for place in looked if place > 801]
    assert checked("sample", batches, view=2) != looked


def test_off_checks_nothing():
    proof("off")(PIXELS ^ 1, ALL, 0)


def test_changed_libraries_are_named():
    with pytest.raises(PixelMismatch, match=r"pillow 13\.0 here, 12\.3 at the dump"):
        proof("all", pillow="13.0")(PIXELS ^ 1, ALL, 0)
    with pytest.raises(PixelMismatch, match="The libraries are the same"):
        proof("all")(PIXELS ^ 1, ALL, 0)
