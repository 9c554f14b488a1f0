"""The `kdcache dump` command that follows from a plan, ready to paste into a shell."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any


def dump_command(knobs: Mapping[str, Any], codec: str) -> str:
    """The command that dumps with `codec` what a plan was made for.

    Args:
        knobs: of `DumpConfig`, plain values; those that were not given are left out.
        codec: what `--codec` takes.

    >>> dump_command({"data": "my images", "teacher": "resnet20", "views": 2}, "uint8")
    "kdcache dump --data 'my images' --teacher resnet20 --views 2 --codec uint8 --store stores/resnet20-uint8"
    """
    options = {name: value for name, value in knobs.items() if name != "decode"}
    decode = knobs.get("decode") or {}
    options["decode"] = decode.get("backend", "").partition("/")[0] or None
    options["unreadable"] = decode.get("unreadable")
    name = re.sub(r"\W+", "-", f"{knobs['teacher']} {codec}").strip("-")
    options |= {"codec": codec, "store": f"stores/{name}"}
    words = [
        f"--{option.replace('_', '-')} {shlex.quote(value if isinstance(value, str) else json.dumps(value))}"
        for option, value in options.items()
        if value is not None
    ]
    exif = ["--exif"] if decode.get("orientation") == "exif" else []
    return " ".join(["kdcache dump", *words, *exif])
