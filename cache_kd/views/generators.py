"""The process's three random generators: held by one user at a time, seeded by words, given back as they were."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# There is one set of generators for all threads: two that seed them without this spoil each other's pictures
# (35 of 400 in a trial). Reentrant, because whoever holds the generators may render.
_HELD = threading.RLock()


@contextmanager
def held_generators() -> Iterator[None]:
    """Hold Python's, numpy's and torch's own generators; afterwards their states are the old ones, also after an error.

    About 80 us, so once per batch rather than per picture.
    """
    with _HELD:
        python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.default_generator.set_state(of_torch)


def seed_generators(python: int, numpy: int, of_torch: int) -> None:
    """Seed the three with a 32-bit word each; about 7 us."""
    random.seed(python)
    np.random.seed(numpy)
    # torch.manual_seed does the same for the CPU, but asks every kind of device too: 64 to 210 us
    torch.default_generator.manual_seed(of_torch)
