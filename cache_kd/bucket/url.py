"""Places that people name: a `Path` is a folder of this machine, a `str` the URL of one in a bucket."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator


def is_url(place: object) -> bool:
    """Whether `place` is written as a URL, whatever its scheme.

    >>> is_url("s3://team/stores"), is_url("stores")
    (True, False)
    """
    return isinstance(place, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def as_place(place: Any) -> Any:
    """A URL without the slash at its end, any other text as a path; what is no text as it is.

    >>> as_place("s3://team/stores/")
    's3://team/stores'
    """
    if not isinstance(place, str):
        return place
    return place.rstrip("/") if is_url(place) else Path(place)


Place = Annotated[Path | str, BeforeValidator(as_place)]
