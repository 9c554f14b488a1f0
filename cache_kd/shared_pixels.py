"""Pixels in memory that worker processes share: one copy for all of them, where pickling makes one for each."""

import ctypes
from multiprocessing.context import BaseContext

import numpy as np

from cache_kd.types import Pixels


class SharedPixels:
    """A copy that processes started by `context` map instead of being sent it.

    It lies in /dev/shm where there is room, else in a nameless file of the temporary folder; it is gone with its last
    user.
    """

    def __init__(self, pixels: Pixels, context: BaseContext) -> None:
        self._bytes = context.RawArray(ctypes.c_uint8, pixels.size)
        self._shape = pixels.shape
        self.array()[...] = pixels

    def array(self) -> Pixels:
        """The pixels, in memory that is not copied."""
        return np.frombuffer(memoryview(self._bytes), dtype=np.uint8).reshape(self._shape)
