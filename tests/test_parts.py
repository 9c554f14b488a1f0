"""A batch in parts, and each part shared by ranks: nothing is lost, and no number of ranks changes a part."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.order import EpochOrder
from cache_kd.parts import parts_of

LENGTHS, COUNTS = st.integers(1, 70), st.integers(1, 9)


@given(length=LENGTHS, parts=COUNTS, ranks=COUNTS)
def test_parts_are_all_of_a_batch_in_its_order(length, parts, ranks):
    found = parts_of(length, parts=parts, ranks=ranks)
    covered = [sample for part in found for start, end in part.spans for sample in range(start, end)]
    assert covered == list(range(length))
    assert sum(part.share for part in found) == pytest.approx(1)
    assert [part.last for part in found] == [False] * (len(found) - 1) + [True]
    assert len(found) == min(length, parts)


@given(length=LENGTHS, parts=COUNTS, ranks=COUNTS)
def test_a_part_has_the_same_samples_for_any_number_of_ranks(length, parts, ranks):
    alone, shared = parts_of(length, parts=parts, ranks=1), parts_of(length, parts=parts, ranks=ranks)
    for one, several in zip(alone, shared, strict=True):
        assert one.spans == ((several.spans[0][0], several.spans[-1][1]),)
        assert max(several.sizes) - min(several.sizes) <= 1


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_what_ranks_render_is_what_the_parts_take(world, parts):
    """Two views of each sample, of two full batches and a short one."""
    orders = [
        EpochOrder(samples=27, batch_size=12, seed=0, epoch=0, rank=rank, world=world, parts=parts)
        for rank in range(world)
    ]
    alone = EpochOrder(samples=27, batch_size=12, seed=0, epoch=0)
    for step, length in enumerate((12, 12, 3)):
        rows = [torch.from_numpy(order.batch(step)).repeat(2)[:, None] for order in orders]
        taken = [
            np.concatenate([part.of(rank)(rows[rank]).view(2, -1)[1] for rank in range(world) if part.owned[rank]])
            for part in parts_of(length, parts=parts, ranks=world)
        ]
        np.testing.assert_array_equal(np.concatenate(taken), alone.batch(step))


def test_a_rank_without_samples_leaves_out_what_was_rendered_for_its_shape():
    (part,) = parts_of(1, parts=3, ranks=2)
    assert part.sizes == [0, 1]
    assert part.of(0)(torch.ones(1, 5)).shape == (0, 5)
