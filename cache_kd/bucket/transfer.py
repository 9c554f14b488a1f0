"""What went over the wire between a folder of this machine and a bucket."""

from cache_kd.config import Config


class Transfer(Config):
    """One store that was copied, for scripts."""

    store: str  # the folder on this machine
    url: str
    store_id: str
    views: int
    files: int  # that were copied now; none: everything was there
    bytes: int  # of these


def amount(files: int, size: int) -> str:
    """Files and their bytes for a person.

    >>> amount(412, 1_234_567_890)
    '412 files, 1,234.6 MB'
    """
    return f"{files:,} files, {size / 1e6:,.1f} MB"
