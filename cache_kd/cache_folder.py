"""Where this machine keeps what can be made or fetched again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$KDCACHE_HOME`, else `cache_kd` in the user's cache folder."""
    if home := os.environ.get("KDCACHE_HOME"):
        return Path(home)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cache_kd"
