"""Functions that a store names are imported only once the user has named them too."""

from collections.abc import Iterable
from pathlib import Path

from cache_kd.errors import ConfigError
from cache_kd.outside import is_outside


def demand_trust(path: Path, names: Iterable[str], trusted: Iterable[str]) -> None:
    """See that the user named every `package.module:function` among `names`.

    Args:
        path: of the store that names them.
        names: of sources, recipes' functions and teachers; others than functions need no trust.
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
