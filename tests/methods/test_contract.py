"""What every method keeps; a new file in cache_kd/methods is tested by being there."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from cache_kd.distill import Method, compose, needs_of, per_sample_loss, with_roles
from cache_kd.errors import ConfigError
from cache_kd.methods import make_method, names

# every method as published, then the knobs that change its formula
SETTINGS = [
    *((name, {}) for name in names()),
    ("atkd", {"of": "teacher"}),
    ("dhkd", {"form": "binary"}),
    ("dtd", {"similarity": "probability", "power": 0.5}),
    ("dtd", {"rule": "cwsm", "shift": True}),
    ("jsd", {"beta": 0.1}),
    ("la", {"style": "label_smooth"}),
    ("mlld", {"views": 1}),
    ("mlld", {"follow": "abstract"}),
]


def of(*chosen: str) -> list:
    return [(name, knobs) for name, knobs in SETTINGS if name in chosen]


# these compare more than a softmax: logits themselves, their cosine, or a label's logit with another one added
SHIFTS_MATTER = [("dtd", {}), *of("dhkd", "lr", "mse", "rc")]
# a temperature or a target that depends on the student, held fixed
PARTLY_DETACHED = of("atkd", "dtd", "rc", "uskd")
# cross-entropies and self-made targets do not vanish, one-sided temperatures vanish elsewhere, and 1e-8 stands in
# the denominators of dist
NEVER_ZERO = of("dist", "lr", "nkd", "rc", "ttm", "uskd", "wttm")


def every(settings):
    ids = ["-".join([name, *(f"{knob}={value}" for knob, value in knobs.items())]) for name, knobs in settings]
    return pytest.mark.parametrize("method", [make_method(name, **knobs) for name, knobs in settings], ids=ids)


def losses_and_gradient(method: Method, student, teacher, labels):
    student = student.clone().requires_grad_()
    losses = per_sample_loss(method, student, teacher, labels)
    losses.sum().backward()
    return losses.detach(), student.grad


def assert_finite(method: Method, student, teacher, labels):
    losses, gradient = losses_and_gradient(method, student, teacher, labels)
    assert losses.shape == labels.shape
    assert losses.isfinite().all()
    assert gradient.isfinite().all()


@every(SETTINGS)
def test_one_finite_loss_per_sample_that_is_not_negative(method, draw):
    student, teacher, labels = draw(views=method.views)
    assert_finite(method, student, teacher, labels)
    assert (per_sample_loss(method, student, teacher, labels) >= 0).all()


@every(SETTINGS)
def test_the_gradient_reaches_the_student_and_never_the_teacher(method, draw):
    student, teacher, labels = draw(views=method.views)
    student.requires_grad_()
    teacher.requires_grad_()
    per_sample_loss(method, student, teacher, labels).sum().backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def assert_derivative(method: Method, student, teacher, labels):
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: per_sample_loss(method, s, teacher, labels), student)


@every([setting for setting in SETTINGS if setting not in PARTLY_DETACHED])
def test_the_gradient_is_the_derivative(method, draw):
    assert_derivative(method, *draw(3, 5, views=method.views))


@every(PARTLY_DETACHED)
def test_the_gradient_is_the_derivative_where_what_is_held_fixed_is_fixed(method, draw):
    batch = draw(3, 5, views=method.views)
    assert_derivative(with_frozen_roles(method, *batch), *batch)


def with_frozen_roles(method: Method, student, teacher, labels) -> Method:
    """The method with the target and the temperatures that it has at this point, so that the rest can be derived."""

    def frozen(term):
        target = term.refine(student, teacher, labels).clone()
        tau = term.temperature(student, target, labels)
        return replace(term, refine=lambda *_: target, temperature=lambda *_: tau)

    return replace(method, terms=tuple(frozen(term) for term in method.terms))


@every(SETTINGS)
def test_renaming_the_classes_changes_nothing(method, draw):
    student, teacher, labels = draw(views=method.views)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    renamed = per_sample_loss(method, student[:, order], teacher[:, order], order.argsort()[labels])
    torch.testing.assert_close(renamed, per_sample_loss(method, student, teacher, labels))


@every(SETTINGS)
def test_reordering_the_batch_reorders_the_losses(method, draw):
    student, teacher, labels = draw(views=method.views)
    samples = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    order = torch.cat([samples + 8 * view for view in range(method.views)])
    reordered = per_sample_loss(method, student[order], teacher[order], labels[order])
    torch.testing.assert_close(reordered, per_sample_loss(method, student, teacher, labels)[order])


@every([setting for setting in SETTINGS if setting not in SHIFTS_MATTER])
def test_adding_a_constant_to_all_logits_of_a_row_changes_nothing(method, draw):
    student, teacher, labels = draw(views=method.views)
    shift = torch.arange(float(len(labels))).double()[:, None]
    shifted = per_sample_loss(method, student + shift, teacher - 2 * shift, labels)
    torch.testing.assert_close(shifted, per_sample_loss(method, student, teacher, labels))


@every(SHIFTS_MATTER)
def test_a_method_for_which_a_constant_matters_is_named_here(method, draw):
    student, teacher, labels = draw(views=method.views)
    shifted = per_sample_loss(method, student + 1, teacher, labels)
    assert not torch.allclose(shifted, per_sample_loss(method, student, teacher, labels))


def at_a_right_teacher(method: Method, draw):
    _, teacher, _ = draw()
    teacher = teacher.repeat(method.views, 1)
    return losses_and_gradient(method, teacher, teacher, teacher.argmax(-1))


@every([setting for setting in SETTINGS if setting not in NEVER_ZERO])
def test_a_student_that_equals_a_right_teacher_has_nothing_to_learn(method, draw):
    losses, gradient = at_a_right_teacher(method, draw)
    # 1e-9: LSKD's and ATKD's divisors carry an epsilon, NormKD's and RLD's sums carry rounding
    assert losses.abs().max() < 1e-9
    assert gradient.abs().max() < 1e-9


@every(NEVER_ZERO)
def test_a_method_without_that_zero_is_named_here(method, draw):
    assert at_a_right_teacher(method, draw)[0].abs().max() > 1e-9


@every(SETTINGS)
@pytest.mark.parametrize("size", [1.0, 60.0, 1e4])
def test_confident_opposites_are_finite(method, size):
    labels = torch.arange(6)
    teacher, student = size * torch.eye(6), size * torch.eye(6).roll(1, 0)
    assert_finite(method, student, teacher, labels)
    assert_finite(method, -student, teacher, labels)  # the student rules out one class
    assert_finite(method, student, teacher, labels.roll(1))  # the teacher is wrong


@every(SETTINGS)
@pytest.mark.parametrize("value", [0.0, 0.1, -1234.567])
def test_constant_rows_are_finite_on_either_side_and_on_both(method, value, draw):
    student, teacher, labels = draw(views=method.views, dtype=torch.float32)
    constant = torch.full_like(student, value)
    assert_finite(method, constant, teacher, labels)
    assert_finite(method, student, constant, labels)
    assert_finite(method, constant, constant, labels)


@every(SETTINGS)
def test_ties_are_finite(method, draw):
    student, teacher, labels = draw(views=method.views)
    assert_finite(method, student.round(), (teacher / 2).round(), labels)


@every(SETTINGS)
@pytest.mark.parametrize(("batch", "classes"), [(1, 10), (5, 2), (1, 2), (2, 20_000)])
def test_other_sizes_are_finite(method, batch, classes, draw):
    assert_finite(method, *draw(batch, classes, views=method.views, dtype=torch.float32))


@every(SETTINGS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_inputs_are_computed_in_float32(method, dtype, draw):
    student, teacher, labels = draw(views=method.views, dtype=dtype)
    losses, gradient = losses_and_gradient(method, student, teacher, labels)
    expected, _ = losses_and_gradient(method, student.float(), teacher.float(), labels)
    assert losses.dtype == torch.float32
    assert gradient.dtype == dtype
    assert gradient.isfinite().all()
    torch.testing.assert_close(losses, expected, rtol=0, atol=0)


@every(SETTINGS)
def test_autocast_does_not_narrow_the_loss(method, draw):
    batch = draw(views=method.views, dtype=torch.float32)
    expected = per_sample_loss(method, *batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(per_sample_loss(method, *batch), expected, rtol=0, atol=0)


@every(SETTINGS)
def test_the_inputs_stay_as_they_are(method, draw):
    student, teacher, labels = draw(views=method.views)
    before = student.clone(), teacher.clone(), labels.clone()
    per_sample_loss(method, student, teacher, labels)
    assert all(torch.equal(now, then) for now, then in zip((student, teacher, labels), before, strict=True))


@every(SETTINGS)
def test_float32_is_close_to_float64(method, draw):
    student, teacher, labels = draw(64, 100, views=method.views)
    narrow = per_sample_loss(method, student.float(), teacher.float(), labels)
    # 1e-4: float32 carries 6e-8 per operation; RLD's weights of 8 tau^2 = 128 multiply what is left of a sum
    expected = per_sample_loss(method, student.float().double(), teacher.float().double(), labels)
    torch.testing.assert_close(narrow.double(), expected, rtol=1e-4, atol=1e-4)


@every(SETTINGS)
def test_mixed_labels_are_taken_or_refused_by_name(method, draw):
    student, teacher, labels = draw(views=method.views)
    mixed = 0.7 * torch.eye(10).double()[labels] + 0.3 * torch.eye(10).double()[labels.roll(1)]
    if needs_of(method).label:
        with pytest.raises(ConfigError, match=f"{method.name} needs the one label of each sample; these are mixed"):
            per_sample_loss(method, student, teacher, mixed)
    else:
        soft = per_sample_loss(method, student, teacher, mixed)
        assert torch.equal(soft, per_sample_loss(method, student, teacher, labels))


@every(SETTINGS)
@pytest.mark.parametrize("role", ["refine", "temperature"])
def test_what_another_method_lends_is_taken_or_refused_with_a_reason(method, role, draw):
    batch = draw(views=method.views, dtype=torch.float32)
    for name in names():
        composed, refusal = composed_or_refused(method, role, make_method(name))
        if composed is None:
            assert name in refusal
            assert len(refusal) > 40, "a reason is more than a no"
        else:
            assert composed.name == f"{method.name}+{name}"
            assert_finite(composed, *batch)


def composed_or_refused(method: Method, role: str, lender: Method) -> tuple[Method | None, str]:
    try:
        return compose(method, **{role: lender}), ""
    except ConfigError as refusal:
        return None, str(refusal)


@every(SETTINGS)
def test_every_temperature_leaves_every_method_finite_even_where_it_makes_no_sense(method, draw):
    batch = draw(views=method.views, dtype=torch.float32)
    for name in ("atkd", "ctkd", "dtd", "lskd", "normkd", "wttm"):
        assert_finite(with_roles(method, temperature=make_method(name).terms[0].temperature), *batch)


COMPILED = """
import sys, torch
from cache_kd.distill import hard_loss, per_sample_loss
from cache_kd.methods import make_method

generator = torch.Generator().manual_seed(0)
student, teacher = (3 * torch.randn(8, 10, generator=generator) for _ in range(2))
labels = torch.randint(10, (8,), generator=generator)
for name, knobs in eval(sys.argv[1]):
    method = make_method(name, **knobs)
    plainly = lambda s: (hard_loss(s, labels) + per_sample_loss(method, s, teacher, labels)).mean()
    results = []
    for loss in (torch.compile(plainly, fullgraph=True, backend="aot_eager"), plainly):
        s = student.clone().requires_grad_()
        value = loss(s)
        value.backward()
        results.append((value.detach(), s.grad))
    for ours, plain in zip(*results):
        torch.testing.assert_close(ours, plain, msg=lambda text: f"{name} {knobs}: {text}")
    torch.compiler.reset()
"""


@pytest.mark.slow
def test_every_method_compiles_to_one_graph():
    """In a process of its own: the shape checks of these tests are not for the compiler."""
    subprocess.run([sys.executable, "-c", COMPILED, repr(SETTINGS)], check=True, timeout=600)
