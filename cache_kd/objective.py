"""What a training step makes smaller: the method of the epoch, and whatever it brings along, on one student."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cache_kd.composition import Composition
from cache_kd.distill import Method, hard_loss, per_sample_loss
from cache_kd.distill.align import backward_aligned
from cache_kd.distill.learned import hand_over, modules_of
from cache_kd.models.features import Penultimate
from cache_kd.types import AnyImages, Images, Labels, Logits, MixedLabels


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The mean over a batch, the only place that takes one, in its two halves; each already weighted."""

    hard: Tensor  # cross-entropy with the labels, unweighted
    soft: Tensor | None  # the method's terms, unweighted
    hard_part: Tensor
    soft_part: Tensor | None

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.hard_part if self.soft_part is None else self.hard_part + self.soft_part

    def values(self) -> dict[str, Tensor]:
        """For the log, without a graph."""
        if self.soft is None:
            return {"loss": self.total.detach()}
        return {"loss": self.total.detach(), "hard": self.hard.detach(), "soft": self.soft.detach()}


class Objective:
    """A composition on one student, epoch after epoch.

    Args:
        composition: which method, with which numbers.
        student: whose features feed a second head, where the method has one.
        images: a few normalised images on the student's device, to find its features.
        classes: number of logits.

    Attributes:
        method: of the current epoch; None for plain cross-entropy.
        learned: what the method brings to be trained; empty for almost all.
        passes: the forward pass, as one module.

    Raises:
        ConfigError: the composition makes no sense.
        ModelError: the method needs features, and the student does not show them.
    """

    method: Method | None

    def __init__(self, composition: Composition, student: nn.Module, images: Images, classes: int) -> None:
        self._composition = composition
        self._changes = bool(composition.courses())
        self.method = composition.at(1)
        self.learned = nn.ModuleDict()
        self.passes = Passes(student)
        if self.method is None:
            return
        self._show_roles(self.method)
        if self.method.head is not None:
            penultimate = Penultimate(student, images)
            self.learned["head"] = self.method.head(penultimate.size, classes)
            self.passes = Passes(student, penultimate, self.learned["head"])
        self.learned.to(images.device)

    @property
    def views(self) -> int:
        """Views of each sample that a batch must bring."""
        return 1 if self.method is None else self.method.views

    @property
    def aligned(self) -> bool:
        """Whether the gradient takes two backward passes, see `backward_aligned`."""
        return self.method is not None and self.method.aligned

    @property
    def roles(self) -> list[nn.Parameter]:
        """What is learned outside of the forward pass, such as a temperature: the same on every rank."""
        return [own for name, module in self.learned.items() if name != "head" for own in module.parameters()]

    def start_epoch(self, epoch: int) -> None:
        """Take the numbers of an epoch, counted from 1."""
        if not self._changes or self.method is None:
            return
        method = self._composition.at(epoch)
        assert method is not None
        hand_over(self.method, method)
        # what is saved is what the steps change: a role that replaces its buffer has the new one in the new module
        self._show_roles(method)
        self.method = method

    def loss(self, logits: Logits, seen: Logits, teacher: Logits | None, labels: Labels | MixedLabels) -> Loss:
        """The loss of a batch, in float32.

        Args:
            logits: the student's.
            seen: what the method compares with the teacher.
            teacher: None for plain cross-entropy, and for a method that asks no teacher.
            labels: class indices, or a probability for each class where views are mixed.

        Raises:
            ConfigError: the labels are mixed and the method reads the label.
        """
        hard = hard_loss(logits, labels, self._composition.label_smoothing).mean()
        if self.method is None:
            return Loss(hard=hard, soft=None, hard_part=hard, soft_part=None)
        soft = per_sample_loss(self.method, seen, seen.detach() if teacher is None else teacher, labels).mean()
        return Loss(
            hard=hard, soft=soft, hard_part=self.method.hard_weight * hard, soft_part=self.method.soft_weight * soft
        )

    def _show_roles(self, method: Method) -> None:
        for number, module in enumerate(modules_of(method)):
            self.learned[f"role{number}"] = module

    @staticmethod
    def backward_aligned(loss: Loss, parameters: Sequence[nn.Parameter]) -> None:
        """Fill the gradients of `parameters` for a method whose terms give way to the labels."""
        assert loss.soft_part is not None
        backward_aligned(loss.hard_part, loss.soft_part, parameters)


class Passes(nn.Module):
    """A student's logits, and those of a second head on its features.

    Args:
        student: gives the logits.
        penultimate: the features of the student's last pass, where there is a head.
        head: of the second classifier.
    """

    def __init__(
        self, student: nn.Module, penultimate: Penultimate | None = None, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.student = student
        self.head = head
        self._penultimate = penultimate

    def forward(self, images: Sequence[AnyImages]) -> tuple[Logits, Logits | None]:
        """The student's logits, and those of the head where there is one.

        Args:
            images: one tensor for each size of view in the batch; the logits are of all, in order.
        """
        passes = [self._pass(of_one_size) for of_one_size in images]
        logits, seen = zip(*passes, strict=True)
        return _joined(logits), None if self.head is None else _joined(seen)

    def _pass(self, images: Images) -> tuple[Logits, Logits | None]:
        logits = self.student(images)
        if self.head is None or self._penultimate is None:
            return logits, None
        return logits, self.head(self._penultimate.features)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
