"""Cut the compact golden set from a folder with the full one: `python tests/golden/make.py FOLDER`.

The full set holds losses and gradients that the authors' own code computed (or, where there is none, the
re-implementation that the manifest names) on fixed student logits, teacher logits and labels.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
KINDS = ("base", "wrong", "minlabel", "ties", "const_s", "const_t", "huge", "flat_s", "hot")


def main(full: Path) -> None:
    """Write one .npz per kind (seed 0, 10 classes, batch 64) and the manifest."""
    source = json.loads((full / "manifest.json").read_text())
    files = []
    for entry in source["files"]:
        if (entry["seed"], entry["classes"]) == (0, 10) and entry["kind"] in KINDS:
            _cut(full / entry["file"], HERE / entry["file"], entry["methods"])
            files.append(
                {
                    "file": entry["file"],
                    "kind": entry["kind"],
                    "methods": entry["methods"],
                    "nonfinite": entry["nonfinite"],
                    "sha256": _sha256(HERE / entry["file"]),
                    "cut_from_sha256": entry["sha256"],
                }
            )
    kept: dict[str, Any] = {key: source[key] for key in ("torch", "numpy", "dtype", "tolerance_note")}
    kept["kinds"] = {kind: source["kinds"][kind] for kind in KINDS}
    kept["methods"] = source["methods"]
    kept["files"] = files
    (HERE / "manifest.json").write_text(json.dumps(kept, indent=1) + "\n")


def _cut(source: Path, target: Path, methods: list[str]) -> None:
    with np.load(source) as arrays:
        keys = ["student", "teacher", "labels"]
        keys += [f"{method}/{part}" for method in methods for part in ("loss", "grad")]
        np.savez_compressed(target, **{key: arrays[key] for key in keys})


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
