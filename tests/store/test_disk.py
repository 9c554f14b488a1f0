"""Disks that are full, files that may not grow, folders that may not be written to."""

import os
import resource
import tempfile
from multiprocessing import get_context
from pathlib import Path

import pytest

import cache_kd
from cache_kd.errors import StoreError
from cache_kd.store.reader import Reader
from cache_kd.store.writer import Writer

NOBODY = 65534


def test_a_full_disk_keeps_the_finished_shards(small_disk, describe, write, assert_right):
    manifest = describe(train=2048)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(850_000))
    with pytest.raises(StoreError, match=r"disk is full .*about 0\.\d MB.*Free space and run the same command"):
        write(small_disk / "store", manifest)
    finished = Reader.open(small_disk / "store", partial=True).complete
    assert 0 < finished < 1
    ballast.unlink()
    left = write(small_disk / "store", manifest)
    assert 0 < left < len(manifest.parts["train"].layout.shards("train")) + 4
    assert_right(small_disk / "store")


def test_a_limit_on_file_size_is_a_full_disk(describe, tmp_path):
    sentence = _in_a_child(_write_below_a_limit, tmp_path / "store", describe(train=8192, test=None))
    assert "disk is full" in sentence
    assert Reader.open(tmp_path / "store", partial=True).complete < 1


@pytest.mark.usefixtures("nobody_can_read_the_package")
def test_a_read_only_folder_is_named(describe):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        sentence = _in_a_child(_create_as_nobody, Path(folder) / "store", describe())
        assert f"{folder}/store cannot be written to (Permission denied)" in sentence
        assert "Pass --store in a folder that is yours" in sentence
        os.chmod(folder, 0o755)


@pytest.mark.usefixtures("nobody_can_read_the_package")
def test_a_finished_store_that_may_not_be_written_to_is_still_a_hit(describe, write):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        write(Path(folder) / "store", describe())
        assert _in_a_child(_create_as_nobody, Path(folder) / "store", describe()) == "complete"
        grown = _in_a_child(_create_as_nobody, Path(folder) / "store", describe(views=3))
        assert "cannot be written to" in grown


@pytest.fixture
def nobody_can_read_the_package():
    """Root drops to nobody, who must still find the code: an environment below a closed home hides it."""
    closed = [folder for folder in Path(cache_kd.__file__).parents if not folder.stat().st_mode & 0o001]
    if os.getuid() == 0 and closed:
        pytest.skip(f"nobody cannot read the package below {closed[0]}")


def _in_a_child(task, path, manifest):
    context = get_context("forkserver")
    answers = context.SimpleQueue()
    child = context.Process(target=task, args=(path, manifest, answers))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    return answers.get()


def _write_below_a_limit(path, manifest, answers):
    import numpy as np
    import torch

    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))
    try:
        with Writer.create_or_resume(path, manifest) as writer:
            writer.write_labels("train", np.zeros(8192, np.int64))
            shard = writer.pending()[0]
            writer.write(shard, torch.zeros(shard.rows, 10), np.zeros(shard.rows, np.uint32))
    except StoreError as fault:
        answers.put(str(fault))


def _create_as_nobody(path, manifest, answers):
    if os.getuid() == 0:  # permissions do not hold root back
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        with Writer.create_or_resume(path, manifest) as writer:
            answers.put("complete" if writer.complete else "begun")
    except StoreError as fault:
        answers.put(str(fault))
