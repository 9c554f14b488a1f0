"""Two real processes that dump to one path at once, and one of them killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cache_kd.dump import dump
from cache_kd.errors import StoreBusy
from cache_kd.store.locks import writing
from cache_kd.store.reader import Reader

VIEWS = 6
ROWS = VIEWS * 512 + 128


@pytest.fixture
def begin(dump_config):
    """A function that starts `kdcache dump` of six views to a path."""

    def start(store, *options):
        config = dump_config(store)
        code = "import torch; torch.set_num_threads(1); from cache_kd.cli.main import main; main()"
        command = [
            sys.executable, "-c", code, "dump", "--data", config.data, "--teacher", config.teacher, "--checkpoint",
            str(config.checkpoint), "--store", str(store), "--views", str(VIEWS), "--batch-size", "32", "--device",
            "cpu", "--json", *options,
        ]  # fmt: skip
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def rows_of(child) -> tuple[int, str]:
    """How many rows a dump computed, and what it said."""
    out, words = child.communicate(timeout=120)
    assert child.returncode == 0, words
    return json.loads(out)["computed_rows"], words


def shards_of(store):
    return {file.relative_to(store): file.read_bytes() for file in store.rglob("*") if "/c/" in file.as_posix()
            and file.is_file()}  # fmt: skip


@pytest.mark.slow
def test_two_dumps_at_once_write_each_shard_once(begin, tmp_path, dump_config):
    children = [begin(tmp_path / "store") for _ in range(2)]
    results = [rows_of(child) for child in children]
    assert sorted(rows for rows, _ in results) == [0, ROWS]
    dump(dump_config(tmp_path / "whole", views=VIEWS))
    assert shards_of(tmp_path / "store") == shards_of(tmp_path / "whole")


@pytest.mark.slow
def test_who_waited_goes_on_where_the_other_was_killed(begin, tmp_path, dump_config):
    store = tmp_path / "store"
    first = begin(store)
    while not list(store.glob("done/train.*.*.json")):
        time.sleep(0.005)
        assert first.poll() is None
    os.kill(first.pid, signal.SIGSTOP)  # it holds the lock, and is not done before the second one comes
    second = begin(store)
    assert any("is writing to" in line for line in iter(second.stderr.readline, ""))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    rows, _ = rows_of(second)
    assert 0 < rows < ROWS
    dump(dump_config(tmp_path / "whole", views=VIEWS))
    assert shards_of(store) == shards_of(tmp_path / "whole")
    assert Reader.open(store).check(deep=True) == []


def test_no_wait_refuses_at_once(dump_config, own_store):
    with writing(own_store), pytest.raises(StoreBusy, match="another process is writing"):
        dump(dump_config(own_store, views=3, wait=False))
    with writing(own_store):
        assert dump(dump_config(own_store, wait=False)).computed_rows == 0  # a finished store needs no lock
