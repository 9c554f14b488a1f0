"""Functions that a store names are imported only once the user has named them too."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cache_kd.errors import ConfigError
from cache_kd.outside import is_outside


def texts_of(value: Any) -> Iterator[str]:
    """Every word in nested JSON, keys left out; a recipe's words may be joined by +.

    >>> list(texts_of({"name": "chain", "base": {"function": "own:crop"}, "steps": ["own:flip+erasing", 3]}))
    ['chain', 'own:crop', 'own:flip', 'erasing']
    """
    if isinstance(value, str):
        yield from value.split("+")
    elif isinstance(value, Mapping | Sequence):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from texts_of(inner)


def demand_trust(path: Path, names: Iterable[str], trusted: Iterable[str]) -> None:
    """See that the user named every `package.module:function` among `names`.

    Args:
        path: of the store that names them.
        names: of sources, teachers and whatever a recipe says; others than functions need no trust.
        trusted: what the user named.

    Raises:
        ConfigError: a function that the user did not name; importing it would run whatever its module does.
    """
    for name in names:
        if is_outside(name) and name not in trusted:
            raise ConfigError(
                f"{path} was made with the function {name}, and importing it runs its module. If that is the code you "
                f"expect, say so: --trust {name}, or trust=({name!r},) in Python."
            )
