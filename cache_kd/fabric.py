"""Lightning Fabric, imported without torchmetrics, of which it asks nothing but the version."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType


@contextmanager
def _known_by_its_version(package: str) -> Iterator[None]:
    """Let whoever imports `package` to see `__version__` see that, and import no more of it, inside the context."""
    try:
        there = version(package)
    except PackageNotFoundError:
        there = None
    if there is None or package in sys.modules:
        yield
        return
    stand_in = ModuleType(package)
    stand_in.__version__ = there  # type: ignore[attr-defined]
    sys.modules[package] = stand_in
    try:
        yield
    finally:
        del sys.modules[package]


# torchmetrics brings scipy, transformers and torchvision where they are installed: more than half of Fabric's import
with _known_by_its_version("torchmetrics"):
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins import MixedPrecision as MixedPrecision
    from lightning_fabric.plugins import Precision as Precision
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment as LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment as TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy as DDPStrategy
