"""The `kdcache dump` command that follows from a plan, ready to paste into a shell."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any


def dump_command(knobs: Mapping[str, Any], codec: str, *, store: str) -> str:
    """The command that dumps with `codec` what a plan was made for.

    Args:
        knobs: of `DumpConfig`, plain values; those that were not given are left out.
        codec: what `--codec` takes.
        store: words that name the store; what a shell or a path would stumble over becomes a hyphen.

    >>> dump_command({"data": "my images", "views": 2}, "uint8", store="timm:vit uint8")
    "kdcache dump --data 'my images' --views 2 --codec uint8 --store stores/timm-vit-uint8"
    """
    options = {name: value for name, value in knobs.items() if name != "decode"}
    decode = knobs.get("decode") or {}
    options["decode"] = decode.get("backend", "").partition("/")[0] or None
    options["unreadable"] = decode.get("unreadable")
    options |= {"codec": codec, "store": "stores/" + re.sub(r"[^\w.]+", "-", store)}
    words = [
        f"--{option.replace('_', '-')} {shlex.quote(value if isinstance(value, str) else json.dumps(value))}"
        for option, value in options.items()
        if value is not None
    ]
    exif = ["--exif"] if decode.get("orientation") == "exif" else []
    return " ".join(["kdcache dump", *words, *exif])
