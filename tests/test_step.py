"""Precision is the student's alone: pictures reach it, and losses are computed, in float32."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from cache_kd.distill.divergence import kl
from cache_kd.distill.term import Method, Term
from cache_kd.methods.kd import kd
from cache_kd.train import TrainConfig, train

BATCH = 512
NARROW = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
noted: dict[str, set[tuple[torch.dtype, bool]]] = {}
seen: dict[str, torch.Tensor] = {}


@pytest.fixture(autouse=True)
def _nothing_yet():
    noted.clear()
    seen.clear()


def note(who: str, tensor: torch.Tensor) -> None:
    noted.setdefault(who, set()).add((tensor.dtype, torch.is_autocast_enabled("cpu")))


class Linear(torch.nn.Module):
    """A student that notes its types while it learns, and the last gradient of its logits."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(28 * 28 * channels, classes)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        if self.training:
            note("images", images)
            note("logits", logits)
            logits.register_hook(lambda gradient: seen.update(gradient=gradient))
        return logits


def linear(classes: int, channels: int = 1) -> torch.nn.Module:
    return Linear(classes, channels)


def watched() -> Method:
    """kd that notes the types of what it compares."""

    def divergence(student, teacher, labels):
        if len(student) == BATCH:  # else the method is only looked over, before there are batches
            note("student's side", student)
            note("teacher's side", teacher)
        return kl(student, teacher, labels)

    method = kd()
    return replace(method, name="watched", terms=(replace(method.terms[0], divergence=divergence),))


def almost_opposite() -> Method:
    """A term that takes back all but 1/4096 of what the labels ask for."""

    def divergence(student, teacher, labels):
        del teacher
        if len(student) == BATCH:
            seen.update(student=student.detach(), labels=labels)
        return -F.cross_entropy(student, labels, reduction="none")

    term: Term = replace(kd(tau=1.0).terms[0], divergence=divergence)
    return Method(name="almost_opposite", terms=(term,), hard_weight=1.0, soft_weight=1 - 2**-12)


def train_with(store, out, method: str, precision: str) -> None:
    train(
        TrainConfig(
            student=f"{__name__}:linear", out=out, store=store, method=f"{__name__}:{method}", epochs=1,
            batch_size=BATCH, device="cpu", precision=precision,
        )
    )  # fmt: skip


@pytest.mark.parametrize("precision", NARROW)
def test_only_the_student_computes_in_a_narrow_precision(stores, tmp_path, precision):
    train_with(stores["float16"], tmp_path / "run", "watched", precision)
    narrow = precision != "float32"
    assert noted == {
        "images": {(torch.float32, narrow)},
        "logits": {(NARROW[precision], narrow)},
        "student's side": {(torch.float32, False)},
        "teacher's side": {(torch.float32, False)},
    }


def test_the_two_halves_of_a_loss_are_added_before_their_gradient_is_rounded(stores, tmp_path):
    """Rounded one by one, to eight bits each, the halves would leave nothing of 1/4096 of either."""
    train_with(stores["float16"], tmp_path / "run", "almost_opposite", "bf16")
    labels = F.one_hot(seen["labels"], 10)
    expected = (seen["student"].softmax(1) - labels) / 2**12 / len(labels)
    assert seen["gradient"].dtype == torch.bfloat16
    torch.testing.assert_close(seen["gradient"].float(), expected, rtol=2**-7, atol=1e-9)
