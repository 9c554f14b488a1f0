import decimal
import math

import numpy as np
import pytest

from cache_kd.keyed.philox import words
from cache_kd.views.box import BOX_WORDS, box_tries, exp, first_fitting, log


def _tries(count, height, width, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    drawn = words(5, "test", np.arange(count), 0, BOX_WORDS)
    return box_tries(drawn, np.tile([height, width], (count, 1)), scale, ratio)


def test_area_and_shape_lie_within_their_limits():
    _, _, height, width = _tries(2000, 1000, 2000, scale=(0.2, 0.3), ratio=(0.5, 0.8)).reshape(-1, 4).T
    # half a pixel of rounding on sides of 500 and more
    assert (height * width / 2_000_000 > 0.2 * 0.997).all()
    assert (height * width / 2_000_000 < 0.3 * 1.003).all()
    assert (width / height > 0.5 * 0.998).all()
    assert (width / height < 0.8 * 1.002).all()


def test_equal_limits_leave_one_box():
    tries = _tries(20, 80, 80, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    assert (tries[:, :, 2:] == 40).all()


def test_the_first_that_fits_is_taken():
    tries = np.arange(24).reshape(2, 3, 4)
    fits = np.array([[False, True, True], [False, False, False]])
    boxes = first_fitting(tries, fits, np.full((2, 4), -1))
    assert boxes.tolist() == [[4, 5, 6, 7], [-1, -1, -1, -1]]


def test_exp_and_log_are_right_to_the_last_digits():
    power = np.linspace(-5, 5, 1001)
    np.testing.assert_allclose(exp(power), np.exp(power), rtol=1e-12)
    assert log(0.75) == pytest.approx(math.log(0.75), rel=1e-15)


def test_the_callers_decimal_context_changes_nothing():
    with decimal.localcontext(prec=3):
        assert log(0.75) == pytest.approx(math.log(0.75), rel=1e-15)
