from collections import Counter
from typing import get_args

import pytest

from cache_kd.errors import ConfigError
from cache_kd.view_schedule import ViewSchedule, views_of

SCHEDULES = get_args(ViewSchedule)


def _shown(schedule, count, stored, epochs, seed=0):
    return [views_of(schedule, epoch, count, stored, epochs=epochs, seed=seed) for epoch in range(epochs)]


def test_a_cycle_shows_one_view_after_the_other():
    assert _shown("cycle", 1, 3, 7) == [(0,), (1,), (2,), (0,), (1,), (2,), (0,)]
    assert _shown("cycle", 2, 3, 4) == [(0, 1), (2, 0), (1, 2), (0, 1)]
    assert views_of("cycle", 10**6, 1, None) == (10**6,)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_round_of_shuffled_shows_every_view_once(seed):
    shown = _shown("shuffled", 1, 8, 40, seed)
    rounds = [shown[start : start + 8] for start in range(0, 40, 8)]
    assert all(sorted(each) == [(view,) for view in range(8)] for each in rounds)
    assert len({tuple(each) for each in rounds}) == 5


def test_shuffled_is_the_golden_order_and_another_with_another_seed():
    assert [view for (view,) in _shown("shuffled", 1, 8, 8)] == [0, 5, 3, 7, 4, 2, 1, 6]
    assert _shown("shuffled", 1, 8, 8, seed=1) != _shown("shuffled", 1, 8, 8)


def test_the_first_view_is_the_first_for_ever():
    assert set(_shown("first", 1, 5, 9)) == {(0,)}
    assert set(_shown("first", 2, None, 9)) == {(0, 1)}


def test_stretches_are_as_equal_as_can_be_and_each_view_has_one():
    assert [view for (view,) in _shown("stretches", 1, 3, 8)] == [0, 0, 0, 1, 1, 1, 2, 2]
    # fewer epochs than views: each shows another
    assert [view for (view,) in _shown("stretches", 1, 10, 4)] == [0, 2, 5, 7]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("count", "stored"), [(1, 1), (2, 4), (3, 4), (8, 16), (4, 4)])
def test_views_of_a_batch_are_neighbours_in_a_cycle(schedule, count, stored):
    groups = set(_shown("cycle", count, stored, stored))
    for views in _shown(schedule, count, stored, 2 * stored):
        assert views in groups
        assert len(set(views)) == count


@pytest.mark.parametrize("schedule", ["cycle", "shuffled", "stretches"])
@pytest.mark.parametrize(("count", "stored"), [(1, 6), (2, 6), (4, 6)])
def test_every_view_is_shown_equally_often(schedule, count, stored):
    times = Counter(view for views in _shown(schedule, count, stored, 2 * stored) for view in views)
    assert times == {view: 2 * count for view in range(stored)}


def test_without_a_store_every_epoch_has_new_views():
    for schedule in ("cycle", "shuffled"):
        views = [view for views in _shown(schedule, 2, None, 10) for view in views]
        assert sorted(views) == list(range(20))


def test_stretches_need_stored_views():
    with pytest.raises(ConfigError, match=r"'stretches' divides.*no store.*'cycle'"):
        views_of("stretches", 0, 1, None, epochs=3)
