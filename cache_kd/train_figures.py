"""How good a student is on the test images, which the ranks share among them."""

import numpy as np
import torch
from torch import nn

from cache_kd.average import WeightAverage
from cache_kd.distill.fold import Fold, fold
from cache_kd.errors import RunError
from cache_kd.evaluate import Evaluation, evaluate, predict
from cache_kd.material import Material
from cache_kd.ranks import Ranks
from cache_kd.train_config import TrainConfig
from cache_kd.types import LabelArray, LogitArray, Logits


def figures_of(config: TrainConfig, student: nn.Module, material: Material, ranks: Ranks) -> Evaluation | None:
    """The same on every rank, of what the first one saves; None where there are no test images.

    Raises:
        RunError: the training has diverged.
    """
    if material.test_source is None:
        return None
    # running statistics of a batch norm that is not synchronised differ; the next pass of a training makes them the
    # first rank's, too
    ranks.take_from_first(student.buffers())
    logits = _test_logits(config, student, material, ranks)
    broken = len(logits) - int(logits.isfinite().all(1).sum())
    if broken:
        raise diverged(f"The student's logits of {broken} of {len(logits)} test images are not finite")
    labels: LabelArray = material.test_source.labels()
    return evaluate(logits, torch.from_numpy(labels), _test_teacher(config, material))


def averaged_figures(
    config: TrainConfig, student: nn.Module, average: WeightAverage | None, material: Material, ranks: Ranks
) -> Evaluation | None:
    """Likewise, of the student with its averaged weights; None where no average is kept."""
    if average is None:
        return None
    with average.shown():
        return figures_of(config, student, material, ranks)


def diverged(found: str) -> RunError:
    """What to say of a training in which `found` is no longer a number."""
    return RunError(
        f"{found}; the training has diverged. Lower --set optimiser.lr, or warm up with --set schedule.warmup_epochs=1."
    )


def _test_logits(config: TrainConfig, student: nn.Module, material: Material, ranks: Ranks) -> Logits:
    """The batches of the plain pictures go round among the ranks."""
    own = [
        predict(
            student,
            material.normalise,
            [pixels],
            device=ranks.device,
            precision=config.precision,
            channels_last=config.channels_last,
        )
        for pixels in material.renderer.plain("test", first=ranks.rank, every=ranks.count)
    ]
    of_rank = ranks.from_each(own)
    batches = sum(len(each) for each in of_rank)
    return torch.cat([of_rank[batch % ranks.count][batch // ranks.count] for batch in range(batches)])


def _test_teacher(config: TrainConfig, material: Material) -> LogitArray | None:
    """Whom the student is compared with: the teacher, or what several of them say together."""
    if len(material.test_teachers) < 2:
        return material.test_teachers[0] if material.test_teachers else None
    together: Fold = "mean_logits" if config.teachers.fold == "mean_logits" else "mean_probabilities"
    array: LogitArray = fold(torch.from_numpy(np.stack(material.test_teachers)), together, config.weights).numpy()
    return array
