"""Options as a person would type them into a shell."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def options(knobs: Mapping[str, Any]) -> str:
    """Each knob as an option, quoted: True is a flag, None is left out, what is neither text nor a path is JSON.

    >>> options({"data": "my images", "batch_size": 2, "exif": True, "root": None, "codec": {"name": "uint8"}})
    '--data \\'my images\\' --batch-size 2 --exif --codec \\'{"name": "uint8"}\\''
    """
    words = []
    for knob, value in knobs.items():
        option = f"--{knob.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None:
            text = str(value) if isinstance(value, str | Path) else json.dumps(value)
            words.append(f"{option} {shlex.quote(text)}")
    return " ".join(words)


def decode_knobs(decode: Mapping[str, Any] | None) -> dict[str, Any]:
    """How image files become pixels, as the command line has it; nothing where the source holds pixels.

    Args:
        decode: the fields `backend`, perhaps with its version behind a slash, `orientation` and `unreadable`.
    """
    decode = decode or {}
    return {
        "decode": decode.get("backend", "").partition("/")[0] or None,
        "unreadable": decode.get("unreadable"),
        "exif": decode.get("orientation") == "exif" or None,
    }
