import zlib

import numpy as np
import pytest

from cache_kd.views import all_match, digests


# 64 rows are looked at together; rows of more than 32 kB by themselves
@pytest.fixture(params=[(0, 4), (1, 1), (2, 3), (37, 5), (64, 2), (129, 32), (3, 110)], ids=str)
def pixels(request):
    rows, side = request.param
    return np.random.default_rng(rows).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)


def test_a_digest_is_the_crc32_of_the_bytes(pixels):
    assert digests(pixels).tolist() == [zlib.crc32(picture.tobytes()) for picture in pixels]
    assert digests(np.frombuffer(b"123456789", np.uint8).reshape(1, 3, 3, 1)).tolist() == [0xCBF43926]


def test_all_match_is_digest_by_digest(pixels):
    expected = digests(pixels)
    assert all_match(pixels, expected)
    for row in range(0, len(pixels), 5):
        for bit in (0, 7, 31):
            changed = expected.copy()
            changed[row] ^= np.uint32(1 << bit)
            assert not all_match(pixels, changed)


def test_rows_in_another_order_do_not_match(pixels):
    if len(pixels) > 1:
        assert not all_match(np.roll(pixels, 1, axis=0), digests(pixels))
        assert all_match(np.roll(pixels, 1, axis=0), np.roll(digests(pixels), 1))


def test_the_same_change_in_two_rows_does_not_cancel_out(pixels):
    if len(pixels) > 1:
        changed = pixels.copy()
        changed[:2, 0, 0, 0] ^= 1
        assert not all_match(changed, digests(pixels))


def test_one_changed_bit_of_any_row_is_seen(pixels):
    expected = digests(pixels)
    for row in range(len(pixels)):
        for place in ((0, 0, 0), (-1, -1, -1)):
            changed = pixels.copy()
            changed[(row, *place)] ^= 1
            assert not all_match(changed, expected)


def test_equal_faults_in_all_rows_are_seen(pixels):
    for fault in (1, 255):
        assert not len(pixels) or not all_match(pixels ^ np.uint8(fault), digests(pixels))


def test_a_view_of_an_array_counts_as_its_own_rows(pixels):
    mirrored = pixels[:, :, ::-1]
    assert all_match(mirrored, digests(mirrored.copy()))
