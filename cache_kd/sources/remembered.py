"""What took a pass over all files, remembered in the user's cache folder while the files are unchanged."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Files = Sequence[str | Path]

# a file that was written less than this before it was read may change again within one tick of the clock
# of its file system, and keep its times; such files are read anew the next time, as git does with its index
SETTLED_NS = 2_000_000_000


def remembered(files: Files, purpose: str, compute: Callable[[], str]) -> str:
    """`compute()`, remembered in the user's cache folder under path, size, mtime and ctime of all `files`.

    Costs one stat per file where it is remembered. A cache that cannot be read or written is not used.

    Args:
        files: everything that the result depends on; with none nothing is remembered.
        purpose: what is computed, and for which part of the files.
        compute: makes the result.
    """
    if not files:
        return compute()
    started = time.time_ns()
    key, newest = _stat_key(files, purpose)
    entry = _cache_folder() / f"{key}.json"
    try:
        return str(json.loads(entry.read_text(encoding="utf-8"))["result"])
    except (OSError, ValueError, KeyError, TypeError):
        found = compute()
    if newest < started - SETTLED_NS and _stat_key(files, purpose)[0] == key:
        _remember(entry, found)
    return found


def _stat_key(files: Files, purpose: str) -> tuple[str, int]:
    """A hash over what `stat` says of all files, and the newest of their times, in ns."""
    table = hashlib.blake2b(f"2\0{purpose}\0".encode(), digest_size=16)
    newest = 0
    for file in files:
        table.update(os.fsencode(os.path.abspath(file)))
        try:
            stat = os.stat(file)
        except OSError as fault:  # `compute` meets it too, and knows what it means
            table.update(f"\0{fault.errno}\0".encode())
            continue
        table.update(f"\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\0".encode())
        newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
    return table.hexdigest(), newest


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cache_kd" / "remembered"


def _remember(entry: Path, found: str) -> None:
    temporary = entry.with_suffix(f".{os.getpid()}.tmp")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"result": found}), encoding="utf-8")
        temporary.replace(entry)
    except OSError:
        # a home that cannot be written to costs time, nothing else
        return
