"""How soft a method makes its teacher: the temperatures of one batch, as quantiles for the log."""

import torch

from cache_kd.distill import Method
from cache_kd.distill.term import working_dtype
from cache_kd.types import Labels, Logits, MixedLabels

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def temperatures_of(
    method: Method | None, student: Logits, teacher: Logits | None, labels: Labels | MixedLabels
) -> dict[str, list[list[float]]]:
    """`tau`: for each term of `method` the QUANTILES of what divides the teacher's logits, over the batch.

    Args:
        method: None for plain cross-entropy, which has no temperature: the answer is empty.
        student: what the method sees of the student.
        teacher: raw logits; None for a method that asks no teacher, which is its own.
        labels: class indices, or a probability for each class where the method reads no label.
    """
    if method is None:
        return {}
    dtype = working_dtype(student)
    student = student.detach().to(dtype)
    teacher = student if teacher is None else teacher.to(dtype)
    named = labels if labels.dim() == 1 else labels.argmax(dim=-1)
    levels = torch.tensor(QUANTILES, dtype=dtype, device=student.device)
    quantiles = []
    with torch.no_grad():
        for term in method.terms:
            tau = term.temperature(student, term.refine(student, teacher, named), named).teacher
            quantiles.append(tau.to(dtype).flatten().quantile(levels).tolist())
    return {"tau": quantiles}
