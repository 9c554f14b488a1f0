import hashlib

import numpy as np
import pytest
import torch

from cache_kd.keyed.philox import below, philox4x32, unit, word_tensor, words

# the known answers of Random123 for philox4x32-10: counter, key, result
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, answer):
    parts = tuple(np.array([int(word, 16)], dtype=np.uint64) for word in counter.split())
    low, high = (int(word, 16) for word in key.split())
    assert " ".join(f"{int(word[0]):08x}" for word in philox4x32(parts, (low, high))) == answer


def test_words_are_the_golden_ones():
    found = words(2026, "view", np.array([0, 1, 2**31, 2**40]), 3, 9)
    assert hashlib.blake2b(found.astype("<u4").tobytes(), digest_size=8).hexdigest() == "fff0e69cc468e29f"


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_torch_gives_the_same_words(device):
    samples = np.array([0, 1, 2**31, 2**40, 2**62])
    for seed, view, count in ((0, 0, 1), (2026, 3, 9), (-5, 2**32 - 1, 41)):
        found = word_tensor(seed, "view", torch.from_numpy(samples).to(device), view, count)
        np.testing.assert_array_equal(found.cpu().numpy(), words(seed, "view", samples, view, count))


def test_a_row_depends_on_nothing_but_its_sample():
    samples = np.array([7, 2**33 + 7, 0, 7, 123_456])
    together = words(1, "view", samples, 4, 6)
    alone = [words(1, "view", np.array([sample]), 4, 6)[0] for sample in samples]
    np.testing.assert_array_equal(together, alone)


def test_more_words_begin_with_the_fewer():
    samples = np.arange(5)
    np.testing.assert_array_equal(words(1, "view", samples, 0, 11)[:, :3], words(1, "view", samples, 0, 3))


def test_no_two_positions_share_words():
    streams = [
        words(seed, purpose, np.arange(50), view, 4)
        for seed in (0, 1, -1, 2**70)
        for purpose in ("view", "proof")
        for view in (0, 1, 2**32 - 1)
    ]
    assert len(np.unique(np.concatenate(streams), axis=0)) == 50 * len(streams)


def test_no_words_are_an_empty_row():
    assert words(0, "view", np.arange(3), 0, 0).shape == (3, 0)


def test_no_samples_have_no_words():
    assert words(0, "view", np.arange(0), 0, 5).shape == (0, 5)


def test_below_is_uniform():
    counts = np.bincount(below(words(5, "test", np.arange(90_000), 0, 1)[:, 0], 9), minlength=9)
    # chi-squared with 8 degrees of freedom: 26.1 is its 99.9 % point
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 26.1


def test_unit_is_at_least_zero_and_below_one():
    extremes = unit(np.array([0, 2**32 - 1], dtype=np.uint32))
    assert extremes[0] == 0.0
    assert extremes[1] == 1 - 2.0**-32
