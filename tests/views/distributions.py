"""Whether numbers were drawn alike: the tests of Kolmogorov and Smirnov, and of Pearson, at their 99.9 % points."""

import numpy as np


def assert_drawn_alike(ours, theirs):
    """Two samples of one distribution: the largest gap between their distribution functions."""
    places = np.union1d(ours, theirs)
    ranks = [np.searchsorted(np.sort(sample), places, "right") / len(sample) for sample in (ours, theirs)]
    gap, limit = np.abs(ranks[0] - ranks[1]).max(), 1.95 * np.sqrt(1 / len(ours) + 1 / len(theirs))
    assert gap < limit, f"gap of {gap:.4f}, above {limit:.4f}"


def assert_uniform(values, count):
    """Whole numbers 0 … count - 1, all as likely; at least 100 of each make a difference of a few per cent visible."""
    assert len(values) >= 100 * count
    counts = np.bincount(values, minlength=count)
    assert len(counts) == count
    expected = len(values) / count
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    # Wilson and Hilferty, 1931
    spread = 2 / (9 * (count - 1))
    assert chi_squared < (count - 1) * (1 - spread + 3.09 * np.sqrt(spread)) ** 3


def assert_counted_alike(ours, theirs):
    """Two samples of one distribution over any things; what is seen less than 20 times in both counts as one thing."""
    things, places = np.unique([*ours, *theirs], return_inverse=True)
    counts = np.stack([np.bincount(part, minlength=len(things)) for part in np.split(places, [len(ours)])])
    seldom = counts.sum(0) < 20
    counts = np.column_stack([counts[:, ~seldom], counts[:, seldom].sum(1)])
    counts = counts[:, counts.sum(0) > 0]
    expected = counts.sum(0) * counts.sum(1, keepdims=True) / counts.sum()
    degrees = counts.shape[1] - 1
    spread = 2 / (9 * degrees)
    # Wilson and Hilferty, 1931
    assert ((counts - expected) ** 2 / expected).sum() < degrees * (1 - spread + 3.09 * np.sqrt(spread)) ** 3
