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


def refuse_url(place: Any) -> Any:
    """Refuse a URL where only a path of this machine will do: as a path it would be a folder called `s3:`.

    Raises:
        ValueError: it is one.
    """
    if is_url(place):
        raise ValueError(
            f"{place} is a bucket's, and this takes a path of this machine. `--store {place}` on the command line of "
            "train and compare keeps a copy of it, `kdcache pull` makes one, `kdcache push` and "
            "`kdcache dump --catalog URL` upload"
        )
    return place


Place = Annotated[Path | str, BeforeValidator(as_place)]
LocalPath = Annotated[Path, BeforeValidator(refuse_url)]
