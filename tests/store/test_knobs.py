"""Recorded knobs: every number that is given back was compared with what was written, also after the first time."""

import os

import numpy as np
import pytest

from cache_kd.errors import StoreDamaged
from cache_kd.store.knobs import StoredKnobs
from cache_kd.store.writer import Writer


@pytest.fixture
def recorded(describe, tmp_path):
    """The knobs of a store, all 0.5, of which some were given back already; and the file that they are in."""
    manifest = describe(test=None, knobs=5)
    with Writer.create_or_resume(tmp_path / "store", manifest) as writer:
        writer.write_knobs(0, np.full((64, 5), 0.5, np.float32))
    knobs = StoredKnobs(tmp_path / "store", manifest)
    assert (knobs.rows(0, np.array([3, 0])) == np.full((2, 5), 0.5)).all()
    return knobs, tmp_path / "store" / "knobs/c/0/0/0"


def test_a_file_that_changes_after_it_was_checked_is_checked_again(recorded):
    knobs, file = recorded
    content = bytearray(file.read_bytes())
    content[3] ^= 0x40
    file.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"other bytes than were written \(sha256\).*import them again"):
        knobs.rows(0, np.array([0]))


def test_a_file_that_is_touched_and_the_same_is_read_on(recorded):
    knobs, file = recorded
    os.utime(file, (1, 1))
    assert (knobs.rows(0, np.array([1])) == 0.5).all()


@pytest.mark.parametrize("left", [None, b"", bytes(100)], ids=["gone", "empty", "short"])
def test_a_file_that_is_cut_short_or_gone_is_a_sentence(recorded, left):
    knobs, file = recorded
    file.unlink() if left is None else file.write_bytes(left)
    with pytest.raises(StoreDamaged, match=r"knobs of view 0: .*knobs/c/0/0/0.*import them again"):
        knobs.rows(0, np.array([0]))
