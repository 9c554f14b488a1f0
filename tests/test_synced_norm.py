"""Batch norm over several processes, in one."""

import pytest
import torch
from torch import distributed

from cache_kd.synced_norm import SyncedBatchNorm


@pytest.fixture
def _alone():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("_alone")
def test_one_value_of_a_channel_is_refused_as_by_torchs_own():
    """Its variance without bias is 0 / 0, which would stay in the running statistics."""
    norm = SyncedBatchNorm(3)
    for kind in (torch.nn.BatchNorm2d(3), norm):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            kind(torch.ones(1, 3, 1, 1))
    norm(torch.ones(1, 3, 2, 1))
    assert norm.running_var.isfinite().all()
