"""Images from a function that the user names: called with the split, it returns arrays or a source."""

from typing import Any

from cache_kd.errors import KdCacheError, SourceError
from cache_kd.outside import line_of, load_function
from cache_kd.sources.arrays import array_source
from cache_kd.sources.source import SPLITS, Source, SourceSpec


def open_function(spec: SourceSpec) -> Source:
    """What `function(split)` returns: (images, labels), or an object that is a `Source` already.

    Images are uint8 [N, height, width, channels] or [N, height, width], labels integers [N].
    Without names of its own, a split has the classes 0 … largest label in it.

    Raises:
        ConfigError: the function cannot be imported.
        SourceError: it fails, has no such split, or returns something else.
    """
    returned = _call(spec, spec.split)
    if returned is None:
        raise SourceError(f"{spec.data} has no split {spec.split!r}; it returned None for it.")
    if isinstance(returned, Source):
        return returned
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise SourceError(
            f"{spec.data}({spec.split!r}) returned {type(returned).__name__}; expected (images, labels), "
            "an object that satisfies cache_kd.sources.Source, or None for a split that does not exist."
        )
    return array_source(spec, *returned)


def function_splits(spec: SourceSpec) -> tuple[str, ...]:
    """train, and test unless the function returns None for it.

    Raises:
        ConfigError: the function cannot be imported.
        SourceError: it fails.
    """
    return SPLITS if _call(spec, "test") is not None else SPLITS[:1]


def _call(spec: SourceSpec, split: str) -> Any:
    function = load_function(spec.data, purpose="a source")
    try:
        return function(split)
    except ImportError as fault:
        raise SourceError(f"{spec.data}({split!r}) could not import what it needs: {fault}. Install it.") from fault
    except KdCacheError:
        raise
    except Exception as fault:
        raise SourceError(
            f"{spec.data}({split!r}) fails: {type(fault).__name__}: {fault}{line_of(fault)}. It is called with "
            "'train' or 'test', and returns None for a split that does not exist."
        ) from fault
