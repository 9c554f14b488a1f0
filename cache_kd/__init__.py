"""Train students from a teacher's cached logits: the same experiment, without the teacher.

The two routes are `cache_kd.dump.dump` and `cache_kd.train.train`. The names below are the public face;
each is imported when it is first used, so that `import cache_kd` takes milliseconds rather than the second
that torch takes.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cache_kd.distill.compose import compose as compose
    from cache_kd.distill.loss import per_sample_loss as per_sample_loss
    from cache_kd.distill.loss import training_loss as training_loss
    from cache_kd.distill.term import Method as Method
    from cache_kd.distill.term import Term as Term
    from cache_kd.errors import KdCacheError as KdCacheError
    from cache_kd.methods import make_method as make_method
    from cache_kd.opened import OpenStore as OpenStore
    from cache_kd.opened import open_store as open_store

__version__ = "0.1.0"

_HOMES = {
    "KdCacheError": "cache_kd.errors",
    "Method": "cache_kd.distill.term",
    "OpenStore": "cache_kd.opened",
    "Term": "cache_kd.distill.term",
    "compose": "cache_kd.distill.compose",
    "make_method": "cache_kd.methods",
    "open_store": "cache_kd.opened",
    "per_sample_loss": "cache_kd.distill.loss",
    "training_loss": "cache_kd.distill.loss",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cache_kd' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
