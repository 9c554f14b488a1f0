"""Which files of a tree cannot be decoded: found by decoding every one of them once, and remembered."""

import json
from collections.abc import Sequence
from pathlib import Path

import PIL

from cache_kd.errors import SourceError
from cache_kd.progress import Advance, Progress
from cache_kd.sources.decode import attempt
from cache_kd.sources.remembered import remembered
from cache_kd.sources.source import Decoding
from cache_kd.threads import map_in_threads

BLOCK = 256  # files between two words of progress
NAMED = 3  # in a message


def unreadable_files(top: Path, files: Sequence[str], how: Decoding, progress: Progress) -> tuple[str, ...]:
    """Those of `files` that cannot be decoded, in their order; says how many there are, and names the first.

    Costs decoding all of them the first time, one stat per file later.

    Args:
        top: the folder that `files` are relative to.
        files: names of image files.
        how: the decoder.
        progress: who watches.

    Raises:
        SourceError: a file cannot be read now, which says nothing about its picture.
    """

    def scan() -> str:
        with progress.task(f"decode {top.name}", len(files), "files") as advance:
            return json.dumps(_scan(top, files, how, advance))

    # 2: what counts as unreadable. A newer Pillow may read what an older one did not
    purpose = f"unreadable/2 {how.model_dump_json()} pillow {PIL.__version__}"
    found: dict[str, str] = json.loads(remembered([f"{top}/{file}" for file in files], purpose, scan))
    if found:
        named = "; ".join(list(found.values())[:NAMED])
        more = f"; and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
        progress.say(f"{len(found):,} of {len(files):,} images in {top} are left out: {named}{more}.")
    return tuple(found)


def _scan(top: Path, files: Sequence[str], how: Decoding, advance: Advance) -> dict[str, str]:
    """What is wrong with each file that cannot be decoded."""
    found = {}
    for start in range(0, len(files), BLOCK):
        block = files[start : start + BLOCK]
        for file, fault in zip(block, map_in_threads(lambda file: _fault(top / file, how), block), strict=True):
            if fault is not None:
                found[file] = fault
        advance(len(block))
    return found


def _fault(file: Path, how: Decoding) -> str | None:
    """What is wrong with `file`; the pixels are let go at once."""
    outcome = attempt(file, how)
    return str(outcome) if isinstance(outcome, SourceError) else None
