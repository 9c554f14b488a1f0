"""The names nearest to one that is none, whatever the case of the letters."""

import difflib
from collections.abc import Mapping, Sequence

_MOST = 3  # names in an error


def nearest(name: str, known: Mapping[str, str] | Sequence[str]) -> str:
    """`did you mean 'ResNet50' or 'resnet56'? `; nothing where no name is near.

    Args:
        name: what was asked for.
        known: names; or names and how each is to be written.

    >>> nearest("RESNET8", {"resnet8": "resnet8", "vgg8": "vgg8"})
    "did you mean 'resnet8'? "
    """
    written = dict(known) if isinstance(known, Mapping) else {each: each for each in known}
    spelt: dict[str, list[str]] = {}
    for each, full in written.items():
        spelt.setdefault(each.casefold(), []).append(full)
    close = difflib.get_close_matches(name.casefold(), spelt, n=_MOST)
    near = [repr(full) for folded in close for full in spelt[folded]][:_MOST]
    return f"did you mean {' or '.join(near)}? " if near else ""
