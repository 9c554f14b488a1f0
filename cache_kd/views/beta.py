"""Quantiles of the symmetric Beta distribution in whole numbers, the same on every machine."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEVELS = 4096  # quantiles in the table, equally likely
WHOLE_BITS = 16
WHOLE = 2**WHOLE_BITS  # they are in units of 1/65536

TERMS = 150  # of the series; they reach the last bit at 1/2 for the largest alpha, where they fall most slowly
LARGEST_ALPHA = 32.0


@lru_cache(maxsize=8)
def beta_quantiles(alpha: float) -> NDArray[np.int64]:
    """4096 quantiles of Beta(alpha, alpha) in 1/65536, rounded to the nearest: at (i + 1/2) / 4096, i from 0.

    A uniform choice among them has a mean of exactly 1/2 and, for alpha from 0.1 to 2, the variance
    1 / (8 alpha + 4) to 6e-6 of itself. The values go from 0 to 65536.

    The distribution function is computed from sums, products, quotients and square roots only: those are rounded
    alike everywhere, while the last bit of a library's power or gamma function depends on processor and release.

    Args:
        alpha: of both sides, 0 < alpha <= 32.
    """
    # every value up to a half is rounded to from between two of these; the other half is its mirror image
    between = (np.arange(WHOLE // 2) + 0.5) / WHOLE
    levels = (np.arange(LEVELS // 2) + 0.5) / LEVELS
    lower = np.searchsorted(_distribution(between, alpha), levels)
    quantiles = np.concatenate([lower, WHOLE - lower[::-1]]).astype(np.int64)
    quantiles.flags.writeable = False  # every caller is given this one array
    return quantiles


def _distribution(x: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """The share of Beta(alpha, alpha) below each `x` < 1/2.

    The series is DLMF 8.17.8, all of whose terms are positive; its factor is known from the share below 1/2.
    """
    points = np.append(x, 0.5)
    total = np.ones_like(points)
    for term in range(TERMS, 0, -1):
        total = 1 + total * points * ((2 * alpha + term - 1) / (alpha + term))
    below = _power(4 * points * (1 - points), alpha) * total
    shares: NDArray[np.float64] = below[:-1] / below[-1] / 2
    return shares


def _power(base: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """`base` to an `exponent` > 0, bit by bit: a square root for each binary digit behind the point."""
    whole, rest = divmod(exponent, 1)
    result, root = np.ones_like(base), base
    for _ in range(int(whole)):
        result = result * base
    while rest:
        root = np.sqrt(root)
        bit, rest = divmod(2 * rest, 1)
        if bit:
            result = result * root
    return result
