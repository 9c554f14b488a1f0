"""Training starts without what its library of devices imports only for a number."""

import os
import subprocess
import sys

PROGRAM = """
import cache_kd.ranks
from lightning_fabric.utilities import imports

print(imports._TORCHMETRICS_GREATER_EQUAL_1_0_0)
try:
    import torchmetrics
except RecursionError as fault:
    print(fault)
"""


def test_fabric_learns_the_version_of_torchmetrics_without_importing_it(tmp_path):
    """Whoever wants torchmetrics afterwards still gets the real one, which here only breaks."""
    (tmp_path / "torchmetrics").mkdir()
    (tmp_path / "torchmetrics" / "__init__.py").write_text("raise RecursionError('imported')")
    (tmp_path / "torchmetrics-1.5.0.dist-info").mkdir()
    (tmp_path / "torchmetrics-1.5.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchmetrics\nVersion: 1.5.0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "imported"]
