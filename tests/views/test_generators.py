import random
import threading
from contextlib import suppress

import numpy as np
import pytest
import torch

from cache_kd.views.generators import held_generators, seed_generators


def draws():
    return random.random(), random.gauss(0, 1), *np.random.randn(1), *torch.randn(1).tolist()


def test_the_same_words_give_the_same_draws_of_all_three():
    with held_generators():
        seed_generators(1, 2, 3)
        first = draws()
        draws()
        seed_generators(1, 2, 3)
        assert draws() == first


@pytest.mark.parametrize("place", range(3))
def test_each_word_seeds_a_generator_of_its_own(place):
    with held_generators():
        seed_generators(0, 0, 0)
        zeros = draws()
        seed_generators(*(2**32 - 1 if which == place else 0 for which in range(3)))
        python, gauss, numpy, of_torch = (now != then for now, then in zip(draws(), zeros, strict=True))
    assert [python and gauss, numpy, of_torch] == [which == place for which in range(3)]


def test_afterwards_the_draws_go_on_as_if_nothing_had_been():
    with held_generators():
        seed_generators(7, 7, 7)
        draws()
        expected = draws()
    with held_generators():
        seed_generators(7, 7, 7)
        draws()  # an odd number of normal ones: the second of a pair is part of the state
        with suppress(ZeroDivisionError), held_generators():
            seed_generators(0, 0, 0)
            _ = draws()[0] / 0
        assert draws() == expected


def test_a_second_thread_waits():
    order = []

    def render():
        with held_generators():
            order.append("second")

    with held_generators():
        second = threading.Thread(target=render)
        second.start()
        second.join(timeout=0.05)
        order.append("first")
    second.join(timeout=30)
    assert order == ["first", "second"]
