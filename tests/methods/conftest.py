"""Small logits, made by code."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


@pytest.fixture
def draw() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """`draw(batch, classes)` -> student, teacher, labels: correlated, the teacher right on half at least.

    With `views` the rows are all samples of the first view, then all of the next; the labels repeat.
    """

    def drawn(batch: int = 8, classes: int = 10, *, views: int = 1, seed: int = 0, dtype: torch.dtype = torch.float64):
        generator = torch.Generator().manual_seed(seed)
        rows = views * batch
        teacher = 3 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
        student = 0.5 * teacher + 2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
        labels = torch.randint(classes, (batch,), generator=generator)
        labels[::2] = teacher.argmax(-1)[:batch:2]
        return student.to(dtype), teacher.to(dtype), labels.repeat(views)

    return drawn
