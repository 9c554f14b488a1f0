"""A request to stop, from a keyboard or a cluster, that is heard between two steps rather than in one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Which signal asked for an end, if one did."""

    asked: int | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; the second one ends the process where it stands."""
        del frame
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = number

    def obey(self) -> None:
        """End the process as the signal that asked would have.

        Raises:
            KeyboardInterrupt: for Ctrl-C.
            SystemExit: for a termination, with the usual code 128 + its number.
        """
        if self.asked == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt


@contextmanager
def hearing() -> Iterator[Stop]:
    """Hear Ctrl-C and terminations while the context is open; only a main thread can."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
