"""Another machine than the dump's: what of it differs, said once in one line, and left to the pixel proof to judge."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from cache_kd.errors import OtherEnvironment

# Another teacher, source, recipe, seed or codec is another store, and refused (`manifest.differences`). Of the rest:
# zarr and the number of threads change no number; the device changes the last bits of logits, and no pixel.
OF_NOTHING = ("threads", "zarr")
OF_LOGITS = ("device", "device_name")


def changes(
    stored: Mapping[str, str], here: Mapping[str, str], of: Literal["pixels", "logits"] = "pixels"
) -> list[str]:
    """What may have changed pixels, or also logits, since the dump, each with both values.

    Args:
        stored: library versions and device of the dump.
        here: those of this process.
        of: "pixels" where no teacher runs here, "logits" where one does.

    >>> changes({"pillow": "12.3", "device": "cpu"}, {"pillow": "13.0", "device": "cuda"})
    ['pillow 13.0 here, 12.3 at the dump']
    """
    harmless = OF_NOTHING if of == "logits" else OF_NOTHING + OF_LOGITS
    return [
        f"{name} {value} here, {stored[name]} at the dump"
        for name, value in here.items()
        if name not in harmless and stored.get(name, value) != value
    ]


def warn_of_changes(path: Path, changed: list[str]) -> None:
    """Warn, in one line, that the store at `path` was not dumped with what is installed here; nothing is refused."""
    if changed:
        warnings.warn(f"{path}: {'; '.join(changed)}. Its pixels are compared.", OtherEnvironment, stacklevel=3)
