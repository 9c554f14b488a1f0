import pytest
import torch

from cache_kd.peak_memory import STATUS, peak_bytes


@pytest.mark.skipif(not STATUS.is_file(), reason="only Linux says")
def test_the_peak_of_a_process_grows_by_what_is_held():
    """50 MB more than ever before: what is already free in the process may serve a part of it."""
    before = peak_bytes(torch.device("cpu"))
    held = torch.ones(before + 50_000_000, dtype=torch.uint8)
    assert peak_bytes(torch.device("cpu")) >= before + 50_000_000
    assert len(held) > before
