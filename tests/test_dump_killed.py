"""`kdcache dump` itself, killed at fifty random moments, ends with the arrays of a dump that was not."""

import random
import signal
import time
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pytest
import torch

from cache_kd.cli.main import main
from cache_kd.dump import dump
from cache_kd.store.reader import Reader

KILLS, VIEWS = 50, 24

# a server that has imported torch once forks a child in milliseconds
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["cache_kd.cli.main", "cache_kd.dump"])


@pytest.mark.slow
def test_a_command_killed_at_fifty_moments_ends_with_the_same_arrays(dump_config, tmp_path):
    whole = dump_config(tmp_path / "whole", views=VIEWS)
    dump(whole)
    draw = random.Random(0)
    kills, stores, shards = 0, [], []
    while kills < KILLS:
        killed = dump_config(tmp_path / f"killed-{len(stores)}", views=VIEWS)
        stores.append(killed)
        while kills < KILLS and _killed(_moment(kills, draw), killed):
            kills += 1
            shards.append((len(stores), _finished(killed)))
    # some kills met a dump before its first new shard, some between two of its shards, none undid a finished one
    assert shards == sorted(shards)
    assert len(set(shards)) > KILLS // 4
    for killed in stores:
        dump(killed)
        _assert_equal(Reader.open(whole.store), Reader.open(killed.store))


def _assert_equal(whole: Reader, killed: Reader) -> None:
    assert killed.check(deep=True) == []
    for view in whole.witnessed_views():
        assert np.array_equal(killed.witnesses(view), whole.witnesses(view))
    for part, entry in whole.manifest.parts.items():
        assert np.array_equal(killed.labels(part), whole.labels(part))
        samples = np.arange(entry.samples)
        for view in range(entry.views):
            assert np.array_equal(killed.view(part, view).rows(samples), whole.view(part, view).rows(samples))
            assert np.array_equal(killed.digests(part, view), whole.digests(part, view))


class _Moment(NamedTuple):
    """A moment that no machine's speed moves to the end of a dump: so much later than so many more shards."""

    shards: int
    seconds: float


def _moment(kill: int, draw: random.Random) -> _Moment:
    """In turn while a command begins, which takes the most time of a small dump, and among its shards."""
    if kill % 2:
        return _Moment(shards=draw.randint(1, 4), seconds=draw.uniform(0, 0.02))
    return _Moment(shards=0, seconds=draw.uniform(0, 0.5))


def _killed(moment: _Moment, config) -> bool:
    """Whether the command was still at work at that moment, and was killed then; else it is done."""
    begun = CONTEXT.Event()
    enough = _finished(config) + moment.shards
    child = CONTEXT.Process(target=_command, args=(begun, _words(config)))
    child.start()
    assert begun.wait(60)
    while child.is_alive() and _finished(config) < enough:
        time.sleep(0.001)
    time.sleep(moment.seconds)
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode == -signal.SIGKILL


def _finished(config) -> int:
    """How many shards are finished."""
    return len(list(config.store.glob("done/*.json")))


def _command(begun, words: list[str]) -> None:
    torch.set_num_threads(1)
    begun.set()
    main(words)


def _words(config) -> list[str]:
    return [
        "dump", "--data", config.data, "--teacher", config.teacher, "--checkpoint", str(config.checkpoint),
        "--store", str(config.store), "--views", str(config.views), "--batch-size", str(config.batch_size),
        "--device", "cpu",
    ]  # fmt: skip
