"""What tells that a file is still the one that was looked at: its size, times, inode and device."""

import os

Signature = tuple[int, ...]


def signature_of(state: os.stat_result) -> Signature:
    """What changes when somebody writes to a file or puts another in its place."""
    return (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev)
