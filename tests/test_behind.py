import threading
import time

import pytest

from cache_kd.behind import behind


def test_work_is_done_in_order_by_one_other_thread_and_all_of_it():
    done, threads = [], set()

    def work(item):
        time.sleep(0.001)
        threads.add(threading.get_ident())
        done.append(item)

    with behind(work) as hand_on:
        for item in range(20):
            hand_on(item)
    assert done == list(range(20))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_handing_on_waits_where_the_work_does_not_keep_up():
    go, done = threading.Event(), []

    def work(item):
        go.wait(60)
        done.append(item)

    def hand_all():
        with behind(work, depth=2) as hand_on:
            for item in range(10):
                hand_on(item)
                handed.append(item)

    handed = []
    thread = threading.Thread(target=hand_all)
    thread.start()
    while len(handed) < 3:  # one at work, two waiting
        time.sleep(0.001)
    time.sleep(0.1)
    assert len(handed) == 3
    go.set()
    thread.join(60)
    assert done == list(range(10))


def test_an_error_is_raised_where_it_is_noticed_and_ends_the_work():
    done = []

    def work(item):
        if item == 3:
            raise ValueError(item)
        done.append(item)

    def hand_all():
        with behind(work) as hand_on:
            for item in range(100):
                hand_on(item)
                time.sleep(0.001)

    with pytest.raises(ValueError, match="3"):
        hand_all()
    assert done == [0, 1, 2]


def test_an_error_of_the_last_item_is_raised_on_leaving():
    with pytest.raises(ZeroDivisionError), behind(lambda item: 1 / item) as hand_on:
        hand_on(0)


def test_what_was_handed_on_is_done_where_the_block_fails():
    done = []

    def fail():
        with behind(done.append) as hand_on:
            hand_on(1)
            raise KeyError("the block's own")

    with pytest.raises(KeyError):
        fail()
    assert done == [1]
    assert not [thread for thread in threading.enumerate() if thread.name == "kdcache-behind"]
