"""What the teachers say of a batch: from their stores, or live; several of them as one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cache_kd.distill.fold import fold
from cache_kd.keyed.philox import unit, words
from cache_kd.material import Material
from cache_kd.models.teacher import Teacher, load_teacher
from cache_kd.stored import open_stored_teacher
from cache_kd.stream import Batch
from cache_kd.train_config import TrainConfig
from cache_kd.types import AnyViews, Logits


class TeacherLogits:
    """Answers with one teacher's logits, whatever the number of teachers.

    Args:
        config: of the run.
        material: holds the stores, whose manifests name the teachers.
        device: where live ones compute.

    Attributes:
        live: the teachers in memory, if any.

    Raises:
        KdCacheError: a live teacher cannot be opened, or is not the one of its store.
    """

    def __init__(self, config: TrainConfig, material: Material, device: torch.device) -> None:
        self._config = config
        self._device = device
        self.live = _live(config, material, device)

    def logits(self, batch: Batch, pixels: Sequence[AnyViews], step: int) -> Logits | None:
        """Of every row of `batch`; None where nobody is asked.

        Args:
            batch: holds the stored logits.
            pixels: of the batch, on the device.
            step: over the whole training; the draw of one teacher is a function of seed and step.
        """
        return self._folded(self._of_each(batch, pixels), step)

    def _of_each(self, batch: Batch, pixels: Sequence[AnyViews]) -> tuple[Tensor, ...]:
        if self.live:
            # leaves inference mode: such tensors may not be saved for a backward pass
            return tuple(torch.cat([teacher.logits(of_one).clone() for of_one in pixels]) for teacher in self.live)
        return tuple(rows.to(self._device, non_blocking=True).logits() for rows in batch.teachers)

    def _folded(self, logits: tuple[Tensor, ...], step: int) -> Logits | None:
        if len(logits) < 2:
            return logits[0] if logits else None
        weights, how = self._config.weights, self._config.teachers.fold
        chosen = 0
        if how == "draw":
            ticket = words(self._config.seed, "teacher of the batch", np.array([step]), 0, 1)[0]
            bounds = np.cumsum(weights) / sum(weights)
            chosen = int(np.searchsorted(bounds, unit(ticket), side="right")[0])
        return fold(torch.stack(logits), how, weights, chosen)


def _live(config: TrainConfig, material: Material, device: torch.device) -> list[Teacher]:
    live = config.live_teacher
    if live is None:
        return []
    if material.stores:
        return [
            open_stored_teacher(
                store.manifest,
                checkpoint=live.checkpoint,
                device=device,
                trust=config.trust,
                path=store.reader.path,
            )
            for store in material.stores
        ]
    assert live.name is not None
    assert live.checkpoint is not None
    teacher = load_teacher(
        live.name,
        live.checkpoint,
        classes=material.source.classes,
        channels=material.source.channels,
        device=device,
        # a teacher's raw logits may be too large for float16
        precision="bf16" if config.precision == "bf16" else "float32",
        normalise=live.normalise,
    )
    return [teacher]
