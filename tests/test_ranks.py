"""How processes share batches, parts of a batch its samples, and machines their devices."""

import pytest
import torch

from cache_kd.errors import ConfigError
from cache_kd.order import EpochOrder
from cache_kd.ranks import _demand_devices, open_ranks
from cache_kd.step import _parts


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"torchrun started 2 processes .* has 1 cuda device.*--nproc-per-node 1"):
        _demand_devices("cuda", 2)
    _demand_devices("cuda", 1)
    _demand_devices("cpu", 2)


def test_parts_of_a_batch_are_all_of_it():
    for samples in ([16, 17], [0, 1], [1, 2], [5]):
        for count in (1, 2, 3, 7):
            parts = list(_parts(samples, count))
            assert [sum(sizes) for sizes in zip(*(part.sizes for part in parts), strict=True)] == samples
            assert sum(part.share for part in parts) == pytest.approx(1)
            assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]


def test_ranks_share_a_batch_as_its_order_does():
    ranks = open_ranks("cpu", "float32")
    assert (ranks.rank, ranks.count, ranks.first) == (0, 1, True)
    for world in (1, 2, 3):
        orders = [
            EpochOrder(samples=23, batch_size=12, seed=0, epoch=0, rank=rank, world=world) for rank in range(world)
        ]
        several = type(ranks)(fabric=ranks.fabric, rank=0, count=world)
        for step, length in ((0, 12), (1, 11)):
            assert several.share(length) == [len(order.batch(step)) for order in orders]
