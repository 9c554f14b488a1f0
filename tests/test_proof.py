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


def test_sample_checks_the_first_batch_whole_and_then_one_row_in_64():
    sampled = proof("sample")
    sampled(PIXELS[:100], ALL[:100], 0)
    wrong = PIXELS ^ 1
    with pytest.raises(PixelMismatch) as caught:
        sampled(wrong, ALL, 0)
    checked = int(str(caught.value).split(" of ")[1].split()[0])
    assert 0.5 * ROWS / ONE_IN < checked < 2 * ROWS / ONE_IN


def test_rows_are_chosen_by_key_and_not_by_batch():
    """Whatever the batches, the same rows of the same view are compared."""

    def checked(blocks):
        seen = []
        sampled = PixelProof(
            stored=lambda view: _Recorder(STORED, seen), seed=3, check="sample", stored_environment={}, environment={}
        )
        sampled(PIXELS[:0], ALL[:0], 0)  # the first call checks all of its rows: none
        for block in blocks:
            sampled(PIXELS[block], block, 1)
        return sorted(seen)

    assert checked(np.split(ALL, 10)) == checked(np.split(np.random.default_rng(1).permutation(ALL), 64))


class _Recorder:
    def __init__(self, values, seen):
        self.values, self.seen = values, seen

    def __getitem__(self, samples):
        self.seen.extend(samples.tolist())
        return self.values[samples]


def test_off_checks_nothing():
    proof("off")(PIXELS ^ 1, ALL, 0)


def test_changed_libraries_are_named():
    with pytest.raises(PixelMismatch, match=r"pillow 12\.3 there, 13\.0 here"):
        proof("all", pillow="13.0")(PIXELS ^ 1, ALL, 0)
    with pytest.raises(PixelMismatch, match="The libraries are the same"):
        proof("all")(PIXELS ^ 1, ALL, 0)
