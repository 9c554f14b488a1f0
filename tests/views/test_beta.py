import hashlib

import numpy as np
import pytest

from cache_kd.views.beta import LARGEST_ALPHA, beta_quantiles

LEVEL = (np.arange(4096) + 0.5) / 4096


def test_alpha_1_is_uniform():
    np.testing.assert_array_equal(beta_quantiles(1.0), 16 * np.arange(4096) + 8)


def test_alpha_one_half_is_the_arcsine_law():
    np.testing.assert_array_equal(beta_quantiles(0.5), np.rint(65536 * np.sin(np.pi * LEVEL / 2) ** 2))


@pytest.mark.parametrize(
    ("alpha", "share_below"),
    [(2.0, lambda x: x**2 * (3 - 2 * x)), (3.0, lambda x: x**3 * (10 - 15 * x + 6 * x**2))],
)
def test_whole_alphas_are_the_polynomials(alpha, share_below):
    quantiles = beta_quantiles(alpha)
    # the level lies between the shares half a unit to the left and to the right
    assert (share_below((quantiles - 0.5) / 65536) <= LEVEL + 1e-12).all()
    assert (share_below((quantiles + 0.5) / 65536) >= LEVEL - 1e-12).all()


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 2.0])
def test_mean_and_variance_are_those_of_the_distribution(alpha):
    shares = beta_quantiles(alpha) / 65536
    assert shares.mean() == 0.5
    assert shares.var() == pytest.approx(1 / (8 * alpha + 4), rel=6e-6)


@pytest.mark.parametrize("alpha", [1e-3, 0.3, 7.7, LARGEST_ALPHA])
def test_quantiles_go_up_from_0_to_65536_and_mirror_each_other(alpha):
    quantiles = beta_quantiles(alpha)
    assert quantiles.shape == (4096,)
    assert quantiles[0] >= 0
    assert (np.diff(quantiles) >= 0).all()
    np.testing.assert_array_equal(quantiles + quantiles[::-1], 65536)


def test_tables_are_the_golden_ones():
    tables = [beta_quantiles(alpha) for alpha in (0.1, 0.2, 0.3, 0.8, 1.5, 2.0, LARGEST_ALPHA)]
    assert hashlib.blake2b(np.stack(tables).astype("<i8").tobytes(), digest_size=8).hexdigest() == "63a6520f5b8b8899"


def test_nobody_can_change_the_table():
    with pytest.raises(ValueError, match="read-only"):
        beta_quantiles(0.2)[0] = 1
