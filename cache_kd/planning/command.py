"""The `kdcache dump` command that follows from a plan, ready to paste into a shell."""

import re
from collections.abc import Mapping
from typing import Any

from cache_kd.shell import decode_knobs, options


def dump_command(knobs: Mapping[str, Any], codec: str, *, store: str) -> str:
    """The command that dumps with `codec` what a plan was made for.

    Args:
        knobs: of `DumpConfig`, plain values; those that were not given are left out.
        codec: what `--codec` takes.
        store: words that name the store; what a shell or a path would stumble over becomes a hyphen.

    >>> dump_command({"data": "my images", "views": 2}, "uint8", store="timm:vit uint8")
    "kdcache dump --data 'my images' --views 2 --codec uint8 --store stores/timm-vit-uint8"
    """
    taken = {name: value for name, value in knobs.items() if name != "decode"}
    place = "stores/" + re.sub(r"[^\w.]+", "-", store)
    return f"kdcache dump {options({**taken, **decode_knobs(knobs.get('decode')), 'codec': codec, 'store': place})}"
