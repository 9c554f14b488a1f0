"""Which of a store's views each epoch shows."""

from math import gcd
from typing import Literal

import numpy as np

from cache_kd.errors import ConfigError
from cache_kd.keyed.feistel import row_at

ViewSchedule = Literal["cycle", "shuffled", "first", "stretches"]


def views_of(
    schedule: ViewSchedule, epoch: int, count: int, stored: int | None, *, epochs: int = 1, seed: int = 0
) -> tuple[int, ...]:
    """The views of one epoch; those of a batch are always neighbours, as recipes with several kinds of views need it.

    `cycle`: one after the other, and round again. Every view is shown as often as any other, and as late as can be
    after it was shown before: the default.

    `shuffled`: as `cycle`, but in a new keyed order in every round, for when the number of views would otherwise fall
    in step with something else, such as a learning rate that goes up and down.

    `first`: the same view in every epoch, the teacher's word on one picture per sample: what an experiment on the
    number of views is compared with.

    `stretches`: each view for one stretch of epochs before the next. A run needs one view at a time beside it, for
    stores that are slow to read or larger than the disk here. Resume with the same number of epochs.

    >>> [views_of("cycle", epoch, 1, 4) for epoch in (0, 5)]
    [(0,), (1,)]
    >>> views_of("cycle", 1, 2, 4), views_of("cycle", 1, 2, 3), views_of("cycle", 9, 2, None)
    ((2, 3), (2, 0), (18, 19))
    >>> [views_of("stretches", epoch, 1, 2, epochs=5) for epoch in range(5)]
    [(0,), (0,), (0,), (1,), (1,)]

    Args:
        schedule: one of the four.
        epoch: from 0, below `epochs` in `stretches`.
        count: views of each sample in a batch.
        stored: views in the store, at least `count`; None where every epoch can have new ones.
        epochs: of the whole training.
        seed: of the order of `shuffled`.

    Raises:
        ConfigError: views that nobody stored cannot be shown in stretches.
    """
    if stored is None and schedule == "stretches":
        raise ConfigError(
            "The view schedule 'stretches' divides the epochs among a store's views, and there is no store. "
            "Use 'cycle', which shows new views in every epoch, or 'first'."
        )
    # neighbours that come round together: 3 stored views, 2 at a time, are (0, 1), (2, 0), (1, 2)
    groups = None if stored is None else stored // gcd(stored, count)
    group = _group(schedule, epoch, groups, epochs, seed)
    views = range(group * count, (group + 1) * count)
    return tuple(views if stored is None else (view % stored for view in views))


def _group(schedule: ViewSchedule, epoch: int, groups: int | None, epochs: int, seed: int) -> int:
    """Which group of neighbours an epoch shows; views without a store are new ones in any order."""
    if schedule == "first":
        return 0
    if groups is None or schedule == "cycle":
        return epoch
    if schedule == "stretches":
        return epoch * groups // epochs
    turn, place = divmod(epoch, groups)
    return int(row_at(seed, "view schedule", np.array([place]), groups, epoch=turn)[0])
