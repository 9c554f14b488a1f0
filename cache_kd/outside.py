"""Functions that a user names as `package.module:function`, imported only because the user named them."""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cache_kd.errors import ConfigError


def is_outside(name: str) -> bool:
    """Whether `name` has the form `package.module:function`."""
    module, colon, function = name.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load_function(name: str, *, purpose: str) -> Callable[..., Any]:
    """The function that `package.module:function` names; modules of the working directory are found too.

    Args:
        name: what the user wrote.
        purpose: what it is for, as the error says it: "a model", "a method", "a source".

    Raises:
        ConfigError: the module does not import, whatever it raises, or holds no such function.
    """
    if not is_outside(name):
        raise ConfigError(f"{name!r} does not name {purpose}; write package.module:function.")
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that a local file never hides an installed module
    try:
        module = importlib.import_module(module_name)
    except Exception as fault:
        raise ConfigError(
            f"{name}: module {module_name!r} does not import ({_reason(fault)}); expected {purpose}."
        ) from fault
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(f"{name}: {module_name!r} has no function {function_name!r}; expected {purpose}.")
    return function  # type: ignore[no-any-return]


def line_of(fault: Exception, file: str | None = None) -> str:
    """The last line on the way to `fault` that stands in `file`, else in a library; "" where the call itself failed.

    Args:
        fault: caught where a function of the user's was called.
        file: of the function; None: the one that the call led to.
    """
    frames = traceback.extract_tb(fault.__traceback__)[1:]  # the first is the call
    own = [frame for frame in frames if frame.filename == (file or frames[0].filename)] or frames
    return f" [{Path(own[-1].filename).name}, line {own[-1].lineno}]" if own else ""


def _reason(fault: Exception) -> str:
    """What a module raised while it was imported, and the last line on the way there that is the user's own."""
    if isinstance(fault, SyntaxError):
        return f"SyntaxError: {fault.msg}, {fault.filename}, line {fault.lineno}"
    what = str(fault) if isinstance(fault, ImportError) else f"{type(fault).__name__}: {fault}"
    importing = (__file__, importlib.__file__)
    frames = [
        frame
        for frame in traceback.extract_tb(fault.__traceback__)
        if frame.filename not in importing and not frame.filename.startswith("<frozen ")
    ]
    # the module that was named, or another of its folder; a library's own line would not help
    own = [frame for frame in frames if Path(frame.filename).parent == Path(frames[0].filename).parent]
    return f"{what}, {own[-1].filename}, line {own[-1].lineno}" if own else what
