"""A dump that is really killed, again and again, ends with the bytes of one that was not."""

import os
import random
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from cache_kd.errors import StoreError
from cache_kd.store.manifest import Manifest
from cache_kd.store.witness import witness_rows
from cache_kd.store.writer import Writer

# a server that has imported everything once forks a child in milliseconds, and has no threads of ours
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["cache_kd.store.writer"])


def dump(path: Path, manifest: Manifest, rest: float = 0.0) -> None:
    """Write what is pending; `rest` seconds before each shard, as a teacher would take."""
    with Writer.create_or_resume(path, manifest) as writer:
        for view in writer.pending_witnesses():
            time.sleep(rest)
            writer.write_witnesses(view, np.full((witness_rows(manifest, view), 8, 8, 1), view, dtype=np.uint8))
        for part, entry in manifest.parts.items():
            writer.write_labels(part, np.arange(entry.samples) % manifest.classes)
        for shard in writer.pending():
            time.sleep(rest)
            angle = np.arange(shard.start, shard.stop)[:, None] + 3.7 * np.arange(manifest.classes) + 11 * shard.view
            logits = torch.from_numpy((5 * np.sin(angle)).astype(np.float32))
            writer.write(shard, logits, np.arange(shard.start, shard.stop, dtype=np.uint32))


@pytest.mark.parametrize(("tries", "kills"), [(8, 5), pytest.param(72, 50, marks=pytest.mark.slow)])
def test_a_killed_dump_ends_with_the_same_bytes(describe, files_of, tmp_path, tries, kills):
    manifest = describe(train=256, views=tries, codec="float16")
    dump(tmp_path / "whole", manifest)
    draw = random.Random(tries)
    # four shards of 15 ms or more for each try: most meet a dump that is still at work
    killed = sum(_killed_after(draw.uniform(0, 0.06), tmp_path / "killed", manifest) for _ in range(tries))
    assert killed >= kills
    dump(tmp_path / "killed", manifest)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_a_lock_does_not_outlive_its_holder(describe, tmp_path):
    begun = CONTEXT.Event()
    child = CONTEXT.Process(target=_begin, args=(tmp_path / "store", describe(), begun))
    child.start()
    assert begun.wait(60)
    with pytest.raises(StoreError, match="another process is writing"):
        dump(tmp_path / "store", describe())
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    dump(tmp_path / "store", describe())


def _killed_after(seconds: float, path: Path, manifest: Manifest) -> bool:
    """Whether a dump was still at work `seconds` after it began, and was killed then."""
    begun = CONTEXT.Event()
    child = CONTEXT.Process(target=_dump_slowly, args=(path, manifest, begun))
    child.start()
    assert begun.wait(60)
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    return child.exitcode == -signal.SIGKILL


def _dump_slowly(path, manifest, begun):
    begun.set()
    dump(path, manifest, rest=0.01)


def _begin(path, manifest, begun):
    with Writer.create_or_resume(path, manifest):
        begun.set()
        time.sleep(600)
