"""The metrics of a run for TensorBoard, beside metrics.jsonl."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cache_kd.errors import ConfigError


class Scalars:
    """Writes every number of a line of metrics below `folder`.

    Args:
        folder: what TensorBoard is pointed at.
        step: numbers of this step and later ones are written anew, and those that are there are hidden.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        demand_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step)

    def add(self, values: Mapping[str, Any], step: int) -> None:
        """Write the numbers among `values`, those inside of groups too; lists and texts are left out."""
        for name, value in _numbers(values).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


def demand_tensorboard() -> None:
    """See that TensorBoard is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise ConfigError(
            "--tensorboard needs TensorBoard, which is not installed. Run: pip install 'cache_kd[tensorboard]', or "
            "leave the option out: metrics.jsonl is always written."
        ) from None


def _numbers(values: Mapping[str, Any], group: str = "") -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value, f"{group}{name}/")
        elif isinstance(value, int | float):
            numbers[f"{group}{name}"] = float(value)
    return numbers
