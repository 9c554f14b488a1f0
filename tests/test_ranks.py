"""Machines and their devices."""

import pytest
import torch

from cache_kd.errors import ConfigError
from cache_kd.ranks import _demand_devices, open_ranks


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"torchrun started 2 processes .* has 1 cuda device.*--nproc-per-node 1"):
        _demand_devices("cuda", 2)
    _demand_devices("cuda", 1)
    _demand_devices("cpu", 2)


def test_one_process_alone_is_the_first_of_one():
    ranks = open_ranks("cpu", "float32")
    assert (ranks.rank, ranks.count, ranks.first) == (0, 1, True)
