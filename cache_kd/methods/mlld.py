"""Three levels at five temperatures: each sample, the samples among each other, the classes among each other."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from cache_kd.distill import Divergence, Method, Published, Temperature, Temperatures, Term
from cache_kd.distill.divergence import kl
from cache_kd.distill.knob import Positive
from cache_kd.distill.refine import keep
from cache_kd.types import Labels, Logits, PerSample, Scalar, Tau

IMAGENET = Published(knobs={"tau": 1.0}, hard_weight=1.0, soft_weight=0.5)

FURTHER_TAUS = (3.0, 5.0, 2.0, 6.0)
# of the five; there the authors' code distils the first view again in place of the second. Places and not values: a
# first temperature of 2 is the user's
FIRST_VIEW_TWICE = (3, 4)

Gain = Callable[[Logits], Tau]


def mlld(tau: Positive = 4.0, views: Literal[1, 2] = 2, follow: Literal["code", "abstract"] = "code") -> Method:
    """Jin et al., Multi-Level Logit Distillation, CVPR 2023, pages 24276-24285.

    Sum over t in (tau, 3, 5, 2, 6) of t^2 KL(p_t(v) || p_t(s)) + |S S' - V V'|^2 / batch + |S' S - V' V|^2 / classes,
    with S and V the softmax at t as matrices [batch, classes], S' the transpose, and two views of each sample.

    The code says what the abstract does not, and follow="code" does the same: the masks of doubtful samples and
    classes (the teacher's confidence at most the batch's median) multiply sums already taken, so they are only a
    factor of about 1/2 on the first view; the second view is distilled at tau, 3 and 5 alone, and its matrices
    are not used. follow="abstract" gives both views all three levels at all temperatures, without masks. The
    authors' second view is strongly augmented; here both are views of the store's one recipe.

    Args:
        tau: first of the five temperatures, > 0.
        views: of each sample, with a cross-entropy for each; 1 is the variant without augmentation that the
            RLD authors compare with. The ImageNet weights are for 2.
        follow: whom.

    Needs: all logits, the batch (matrices and medians), and two views of each sample.
    """
    code = follow == "code"
    terms = []
    for place, t in enumerate((tau, *FURTHER_TAUS)):
        each = views * t**2  # a mean over the rows of both views is to be the sum of their two means
        gain = first_view_doubtful(views, twice=views == 2 and place in FIRST_VIEW_TWICE) if code else _one
        terms.append(Term(refine=keep, temperature=at(t, gain), divergence=kl, weight=each))
        for level, doubt in ((among_samples, doubtful_samples), (among_classes, doubtful_classes)):
            gain = only_doubtful(doubt, views) if code else _one
            divergence = matched(level, views, 1 if code else views)
            terms.append(Term(refine=keep, temperature=at(t, gain), divergence=divergence))
    why = "it softens at five temperatures at once"
    return Method(
        name="mlld",
        terms=tuple(terms),
        hard_weight=0.1 * views,
        soft_weight=0.9,
        views=views,
        fixed={"temperature": why},
    )


def at(tau: float, gain: Gain) -> Temperature:
    """A constant temperature with a gain of its own."""

    def rule(student: Logits, teacher: Logits, labels: Labels) -> Temperatures:
        del labels
        everywhere = student.new_full((1, 1), tau)
        return Temperatures(student=everywhere, teacher=everywhere, gain=gain(teacher))

    return rule


def first_view_doubtful(views: int, *, twice: bool) -> Gain:
    """The share of doubtful samples on the first view, 1 on the second; `twice`: that 1 on the first, too."""
    again = float(twice)

    def gain(teacher: Logits) -> Tau:
        first = doubtful_samples(teacher.chunk(views)[0]) + again
        second = torch.full_like(first, 1 - again)
        rows = len(teacher) // views
        return torch.cat([first.expand(rows, 1), second.expand(rows * (views - 1), 1)])

    return gain


def only_doubtful(doubt: Gain, views: int) -> Gain:
    """The share of doubtful samples or classes on the first view."""
    return lambda teacher: doubt(teacher.chunk(views)[0])


def doubtful_samples(teacher: Logits) -> Tau:
    """Share of the rows whose largest probability is at most the median of them."""
    return _share_up_to_median(teacher.softmax(dim=-1).amax(dim=-1))


def doubtful_classes(teacher: Logits) -> Tau:
    """Share of the classes whose sum of probabilities is at most the median of them."""
    return _share_up_to_median(teacher.softmax(dim=-1).sum(dim=0))


def matched(level: Callable[[Logits, Logits], Scalar], views: int, used: int) -> Divergence:
    """The sum of a level's distance over the first `used` views; the same for every row."""

    def divergence(student: Logits, teacher: Logits, labels: Labels) -> PerSample:
        del labels
        pairs = list(zip(student.chunk(views), teacher.chunk(views), strict=True))[:used]
        distances = [level(first.softmax(dim=-1), second.softmax(dim=-1)) for first, second in pairs]
        return torch.stack(distances).sum(0).expand(len(student))

    return divergence


def among_samples(student: Logits, teacher: Logits) -> Scalar:
    """|S S' - V V'|^2 / batch."""
    return gram_distance(student, teacher) / len(student)


def among_classes(student: Logits, teacher: Logits) -> Scalar:
    """|S' S - V' V|^2 / classes."""
    return gram_distance(student.T, teacher.T) / student.shape[1]


def gram_distance(first: Logits, second: Logits) -> Scalar:
    """|A A' - B B'|^2, the sum of squares, with matrices no larger than the smaller side of A."""
    rows, columns = first.shape
    if rows <= columns:
        return (first @ first.T - second @ second.T).square().sum()
    # With D = A - B and S = A + B it is (sum of D'D * S'S + trace of (D'S)^2) / 2. Written with D no large
    # numbers cancel when A comes close to B.
    difference, total = first - second, first + second
    crossed = difference.T @ total
    return (((difference.T @ difference) * (total.T @ total)).sum() + (crossed * crossed.T).sum()) / 2


def _share_up_to_median(values: Tensor) -> Tau:
    # numpy's percentile, which the authors use, is torch's quantile: the mean of the two in the middle
    return (values <= values.quantile(0.5)).to(values.dtype).mean().reshape(1, 1)


def _one(teacher: Logits) -> Tau:
    return teacher.new_ones((1, 1))
