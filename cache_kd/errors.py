"""What can go wrong that a user can mend; each message says what was found, what was expected and the mend.

KdCacheError
├── ConfigError        a name, knob or value that was asked for does not exist or does not fit
├── SourceError        the images or labels cannot be read, or are not the ones a store was made from
├── ModelError         a model cannot be built, a checkpoint does not fit, or a teacher gives no usable logits
├── RunError           a run folder cannot be written or resumed
└── StoreError         a path that is not a readable store
    ├── StoreMismatch    a store of something else than what was asked for
    ├── StoreIncomplete  a store whose dump has not finished
    ├── StoreBusy        a store that another process writes to, reads or removes
    ├── StoreDamaged     bytes that are not the ones that were written
    └── PixelMismatch    a student's view that is not the picture that the teacher saw

PixelDrift             a warning: the pictures are a rounding away from the ones that the teacher saw
OtherEnvironment       a warning: other library versions, or another device, than the dump's
UnprovenAlignment      a warning: nobody can prove which pictures the teacher of imported logits saw
SeveralWeights         a warning: a checkpoint holds several sets of weights, of which one is taken
"""

import difflib
from collections.abc import Iterable


class KdCacheError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""


class ConfigError(KdCacheError):
    """A name, knob or value that was asked for does not exist or does not fit."""


class SourceError(KdCacheError):
    """The images or labels cannot be read, or are not the ones a store was made from."""


class ModelError(KdCacheError):
    """A model cannot be built, a checkpoint does not fit, or a teacher gives no usable logits."""


class RunError(KdCacheError):
    """A run folder cannot be written or resumed."""


class StoreError(KdCacheError):
    """A path that is not a readable store."""


class StoreMismatch(StoreError):
    """A store of something else than what was asked for."""


class StoreIncomplete(StoreError):
    """A store whose dump has not finished."""


class StoreBusy(StoreError):
    """A store that another process writes to, reads or removes."""


class StoreDamaged(StoreError):
    """Bytes that are not the ones that were written."""


class PixelMismatch(StoreError):
    """A student's view that is not the picture that the teacher saw."""


class PixelDrift(UserWarning):
    """The pictures here are a rounding away from the ones that the teacher saw."""


class OtherEnvironment(UserWarning):
    """The libraries here, or the device, are not those of the dump; whether the pixels are is compared."""


class UnprovenAlignment(UserWarning):
    """Nobody can prove which pictures the teacher of imported logits saw."""


class SeveralWeights(UserWarning):
    """A checkpoint holds several sets of weights, of which one is taken."""


def did_you_mean(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """`did you mean 'count'?` where one of `known` is close to `name`, then the names that are `listed` (default: all).

    >>> did_you_mean("nromkd", ["kd", "normkd"])
    "did you mean 'normkd'? Known: kd, normkd."
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}Known: {', '.join(known if listed is None else listed)}."
