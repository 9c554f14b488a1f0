"""Each method on numbers that a reader can check by hand, and the identities that join them."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cache_kd.distill import compose, per_sample_loss
from cache_kd.distill.refine import probability_shift
from cache_kd.methods import make_method, names
from cache_kd.methods.atkd import atkd
from cache_kd.methods.ctkd import ctkd
from cache_kd.methods.dhkd import dhkd
from cache_kd.methods.dist import dist
from cache_kd.methods.dkd import dkd
from cache_kd.methods.dtd import cwsm, dtd, flsw, following
from cache_kd.methods.jsd import jsd
from cache_kd.methods.kd import kd
from cache_kd.methods.la import la
from cache_kd.methods.lr import lr
from cache_kd.methods.lskd import lskd
from cache_kd.methods.mlld import mlld
from cache_kd.methods.mse import mse
from cache_kd.methods.nkd import nkd
from cache_kd.methods.normkd import normkd
from cache_kd.methods.rc import rc
from cache_kd.methods.reverse_kl import reverse_kl
from cache_kd.methods.rld import rld
from cache_kd.methods.ttm import ttm
from cache_kd.methods.uskd import uskd
from cache_kd.methods.wttm import wttm

LN3 = math.log(3)
MIXED_AGAINST_EVEN = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)  # KL((3/4, 1/4) || (1/2, 1/2))
OPPOSITES = 0.5 * LN3  # KL((3/4, 1/4) || (1/4, 3/4))


def loss(method, student, teacher, label) -> float:
    student, teacher = torch.tensor([student]).double(), torch.tensor([teacher]).double()
    return per_sample_loss(method, student, teacher, torch.tensor([label])).item()


def test_kd_by_hand():
    assert loss(kd(tau=4.0), [0, 0], [4 * LN3, 0], 0) == pytest.approx(16 * MIXED_AGAINST_EVEN)


def test_normkd_by_hand():
    # std of (1, -1) is sqrt 2; at tau = sqrt 2 / ln 3 the logits are ln 3 apart, and t_i = 2 / ln 3
    method = normkd(tau=math.sqrt(2) / LN3)
    assert loss(method, [-5.0, 5.0], [1.0, -1.0], 0) == pytest.approx(4 / LN3**2 * OPPOSITES)


def test_la_by_hand():
    right, wrong = [4 * LN3, 0.0], [0.0, 4 * LN3]
    assert loss(la(), right, wrong, 0) == pytest.approx(0, abs=1e-12)
    assert loss(la(), right, wrong, 1) == pytest.approx(16 * OPPOSITES)
    smooth = la(style="label_smooth", label_probability=0.75)
    assert loss(smooth, [0.0, 0.0], wrong, 0) == pytest.approx(16 * MIXED_AGAINST_EVEN)


def test_dtd_by_hand():
    student = torch.tensor([[0.0, 0.0], [LN3, 0.0]]).double()
    sure, unsure = 1 / (0.75 + 1e-3), 1 / (0.5 + 1e-3)
    mean = (sure + unsure) / 2
    tau = following(cwsm, 4.0, 2.0, 1.0)(student, student, torch.tensor([0, 0]))
    assert tau.student.flatten().tolist() == pytest.approx([4 + 2 * (mean - unsure), 4 + 2 * (mean - sure)])
    # opposite, perpendicular and equal logits: 1 - cosine = 2, 1, 0
    teacher = torch.tensor([[-1e6, 0.0], [0.0, 1e6], [1e6, 0.0]]).double()
    weights = flsw(2.0, "cosine")(torch.tensor([[1e6, 0.0]]).double().expand(3, 2), teacher)
    assert weights.tolist() == pytest.approx([4.0, 1.0, 0.0])
    assert flsw(1.0, "probability")(student[:1], student[:1]).tolist() == pytest.approx([0.5])


def test_rounding_does_not_push_the_cosine_of_equal_logits_beyond_one():
    large = 1e6 * torch.randn(1000, 10, generator=torch.Generator().manual_seed(0))
    weights = flsw(0.5, "cosine")(large, large)
    assert weights.isfinite().all()
    assert weights.max() < 1e-2


def test_the_floor_of_dtd_holds():
    student = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    tau = following(cwsm, 4.0, 80.0, 1.0)(student, student, torch.tensor([0, 0]))
    assert tau.student.min() == 1.0
    assert torch.equal(tau.gain, tau.student**2)


def test_rld_by_hand():
    student, teacher = [0.0, 0.0, 0.0], [math.log(6), math.log(3), 0.0]  # the teacher: 0.6, 0.3, 0.1
    confidence = 0.6 * math.log(0.6 * 3) + 0.4 * math.log(0.4 * 1.5)
    only_sc, only_mc = rld(alpha=1.0, beta=0.0), rld(alpha=0.0, beta=1.0, tau=1.0)
    assert [loss(only_sc, student, teacher, label) for label in range(3)] == pytest.approx([confidence] * 3)
    # below class 0 stand (0.75, 0.25), below class 1 one class alone, below class 2 nothing
    assert [loss(only_mc, student, teacher, label) for label in range(3)] == pytest.approx([MIXED_AGAINST_EVEN, 0, 0])


def test_atkd_by_hand():
    # with two classes z is (1, -1) / sqrt 2; at factor = 2 / ln 3 the logits are ln 3 apart, t_i^2 = 2 / ln^2 3
    for of in ("both", "teacher"):
        method = atkd(factor=2 / LN3, of=of)
        # 1e-6: the deviation carries an epsilon of 1e-7
        assert loss(method, [-5.0, 5.0], [1.0, -1.0], 0) == pytest.approx(2 / LN3**2 * OPPOSITES, rel=1e-6)


def test_atkd_reads_the_student_only_where_it_is_asked_to():
    student, teacher = torch.tensor([[9.0, 0.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    label = torch.tensor([0])
    both, alone = (atkd(of=of).terms[0].temperature(student, teacher, label).gain for of in ("both", "teacher"))
    assert both.sqrt().item() == pytest.approx(1.3660254 * 1.5)  # z(9, 0, 0, 0) has 1.5
    assert alone.sqrt().item() == pytest.approx(1.3660254 * math.sqrt(3) / 2)


def test_dkd_by_hand():
    student, teacher = [0.0, 0.0, 0.0], [math.log(6), math.log(3), 0.0]  # the teacher: 0.6, 0.3, 0.1
    target = 0.3 * math.log(0.3 * 3) + 0.7 * math.log(0.7 * 1.5)
    rest = 6 / 7 * math.log(12 / 7) + 1 / 7 * math.log(2 / 7)
    assert loss(dkd(alpha=1.0, beta=0.0, tau=1.0), student, teacher, 1) == pytest.approx(target)
    assert loss(dkd(alpha=0.0, beta=2.0, tau=1.0), student, teacher, 1) == pytest.approx(2 * rest)


def test_nkd_by_hand():
    student, teacher = [0.0, 0.0, 0.0], [math.log(6), math.log(3), 0.0]
    expected = 0.3 * math.log(3) + 2 * math.log(2)  # any distribution against an even one of two costs log 2
    assert loss(nkd(gamma=2.0, tau=1.0), student, teacher, 1) == pytest.approx(expected)


def test_dist_by_hand():
    # two classes: rows are (p, 1 - p), so every correlation is 1 or -1, up to 1e-8 in the denominator
    student = torch.tensor([[LN3, 0.0], [0.0, LN3]]).double()
    labels = torch.tensor([0, 0])
    same, opposite = (per_sample_loss(dist(tau=1.0), student, teacher, labels) for teacher in (2 * student, -student))
    assert same.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert opposite.tolist() == pytest.approx([4, 4], abs=1e-6)


def test_ttm_and_wttm_by_hand():
    teacher = [2 * LN3, 0.0]
    assert loss(ttm(gamma=0.5), [0.0, 0.0], teacher, 0) == pytest.approx(MIXED_AGAINST_EVEN)
    unsure = math.sqrt(0.9) + math.sqrt(0.1)
    assert loss(wttm(gamma=0.5), [0.0, 0.0], teacher, 0) == pytest.approx(unsure * MIXED_AGAINST_EVEN)


def test_mse_reverse_kl_and_jsd_by_hand():
    assert loss(mse(), [1.0, 2.0], [4.0, 0.0], 0) == pytest.approx((9 + 4) / 2)
    assert loss(reverse_kl(), [4 * LN3, 0.0], [0.0, 0.0], 0) == pytest.approx(16 * MIXED_AGAINST_EVEN)
    to_mixture = 0.75 * math.log(0.75 / 0.625) + 0.25 * math.log(0.25 / 0.375)
    from_even = 0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)
    assert loss(jsd(tau=1.0), [0.0, 0.0], [LN3, 0.0], 0) == pytest.approx(0.5 * to_mixture + 0.5 * from_even)


def test_rc_raises_the_label_by_the_largest_logit():
    only_self = replace(rc(), terms=rc().terms[1:])
    # s = (0, 4 ln 3): label 0 gets 0 + 4 ln 3, so the target is even at tau = 4, and the weight 0.1
    even_against_mixed = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert loss(only_self, [0.0, 4 * LN3], [9.0, 0.0], 0) == pytest.approx(0.1 * 16 * even_against_mixed)


def test_lr_by_hand():
    # right: CE + 4 mean (s - v)^2; wrong: b = 0.8 / (0.75 - 0.25 + 1), target b (0.25, 0.75) + (1 - b) (1, 0)
    assert loss(lr(), [0.0, 0.0], [1.0, 0.0], 0) == pytest.approx(math.log(2) + 4 * 0.5)
    b = 0.8 / 1.5
    assert loss(lr(), [0.0, 0.0], [0.0, LN3], 0) == pytest.approx((0.25 * b + 1 - b - 0.5) ** 2)
    # each kind has its own mean: one wrong row beside two right ones counts whole
    student, labels = torch.zeros(3, 2).double(), torch.tensor([0, 0, 0])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, LN3]]).double()
    expected = math.log(2) + 2 + (0.25 * b + 1 - b - 0.5) ** 2
    assert per_sample_loss(lr(), student, teacher, labels).mean().item() == pytest.approx(expected)


def test_dhkd_by_hand():
    # log cosh of half the difference, over tau: 0 where equal
    assert loss(dhkd(), [1.0, 3.0], [1.0, -1.0], 0) == pytest.approx(4 * math.log(math.cosh(1.0)))
    # sigmoid(ln 3) = 3 / 4 against sigmoid(0) = 1 / 2; the second class is equal
    assert loss(dhkd(form="binary"), [0.0, 5.0], [2 * LN3, 5.0], 0) == pytest.approx(4 * MIXED_AGAINST_EVEN)


def test_uskd_by_hand():
    # p = (1/2, 1/4, 1/4): alone in its batch the weight is 1; ranks 1 (label), 2, 3 -> 1/2 and 1/3, normalised
    expected = 0.1 * math.log(2) + 0.1 * math.log(2)
    assert loss(uskd(), [math.log(2), 0.0, 0.0], [7.0, 8.0, 9.0], 0) == pytest.approx(expected)
    peaked = 0.1 * -math.log(0.6) + 0.1 * -(0.6 * math.log(0.75) + 0.4 * math.log(0.25))
    assert loss(uskd(), [math.log(6), math.log(3), 0.0], [0.0, 0.0, 0.0], 0) == pytest.approx(peaked)


def test_ctkd_starts_where_the_paper_says_and_goes_against_the_student():
    method = ctkd()
    rule = method.terms[0].temperature
    tau = rule(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0])).student
    assert tau.item() == pytest.approx(1 + 20 / (1 + math.exp(-1)))
    assert loss(method, [0.0, 0.0], [4.0, 0.0], 0) == pytest.approx(
        loss(kd(tau=tau.item()), [0.0, 0.0], [4.0, 0.0], 0), rel=1e-6
    )
    gradients = []
    for strength in (1.0, -1.0, 0.0):
        rule = ctkd(strength=strength).terms[0].temperature
        rule(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0])).student.sum().backward()
        gradients.append(rule.weight.grad.item())
    assert gradients[0] > 0
    assert gradients == pytest.approx([gradients[0], -gradients[0], 0])


def mlld_by_the_letter(first_tau, weak, strong, *, code: bool) -> float:
    """Cross-check of two views, written out from the authors' list of losses."""
    total = 0.0
    for place, tau in enumerate((first_tau, 3.0, 5.0, 2.0, 6.0)):
        (s, v), (s2, v2) = ([(logits / tau).softmax(-1) for logits in view] for view in (weak, strong))
        kl, kl2 = (tau**2 * (b * (b / a).log()).sum(-1).mean() for a, b in ((s, v), (s2, v2)))
        batch, batch2 = (((a @ a.T - b @ b.T) ** 2).sum() / len(a) for a, b in ((s, v), (s2, v2)))
        classes, classes2 = (((a.T @ a - b.T @ b) ** 2).sum() / a.shape[1] for a, b in ((s, v), (s2, v2)))
        if not code:
            total += kl + kl2 + batch + batch2 + classes + classes2
            continue
        likely = weak[1].softmax(-1)
        unsure = (likely.amax(-1) <= likely.amax(-1).quantile(0.5)).double().mean()
        rare = (likely.sum(0) <= likely.sum(0).quantile(0.5)).double().mean()
        total += unsure * (kl + batch) + rare * classes + (kl if place >= 3 else kl2)
    return float(total)


@pytest.mark.parametrize("follow", ["code", "abstract"])
@pytest.mark.parametrize(("samples", "classes"), [(6, 4), (5, 9)])
@pytest.mark.parametrize("tau", [4.0, 2.0, 6.0])  # 2 and 6 stand in the authors' list a second time
def test_mlld_on_two_views_is_the_sum_of_the_authors_losses(draw, follow, samples, classes, tau):
    student, teacher, labels = draw(samples, classes, views=2)
    weak, strong = ((student[half], teacher[half]) for half in (slice(samples), slice(samples, None)))
    ours = per_sample_loss(mlld(tau=tau, follow=follow), student, teacher, labels).mean().item()
    assert ours == pytest.approx(mlld_by_the_letter(tau, weak, strong, code=follow == "code"))


def test_the_weights_are_the_authors():
    weights = {name: (make_method(name).hard_weight, make_method(name).soft_weight) for name in names()}
    assert weights == {
        "atkd": (0.1, 9.0), "ctkd": (0.1, 0.9), "dhkd": (1.0, 1.0), "dist": (1.0, 2.0), "dkd": (1.0, 1.0),
        "dtd": (0.1, 0.9), "jsd": (0.1, 0.9), "kd": (0.1, 0.9), "la": (0.0, 1.0), "lr": (0.0, 1.0),
        "lskd": (0.1, 9.0), "mlld": (0.2, 0.9), "mse": (0.1, 0.9), "nkd": (1.0, 1.0), "normkd": (0.1, 0.9),
        "rc": (1.0, 1.0), "reverse_kl": (0.1, 0.9), "rld": (1.0, 1.0), "ttm": (1.0, 45.0), "uskd": (1.0, 1.0),
        "wttm": (1.0, 4.0),
    }  # fmt: skip


@st.composite
def batches(draw):
    """Student, teacher and labels of Gaussian rows: 1-6 samples, 2-12 classes, std from 0.01 to 100."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 6)), draw(st.integers(2, 12))
    sizes = [10 ** draw(st.floats(-2, 2)) for _ in range(2)]
    student, teacher = (size * torch.randn(shape, generator=generator, dtype=torch.float64) for size in sizes)
    return student, teacher, torch.randint(shape[1], shape[:1], generator=generator)


quickly = settings(max_examples=30, deadline=None)
taus = st.floats(0.5, 10)


@quickly
@given(batches(), taus)
def test_la_is_kd_where_the_teacher_is_right(batch, tau):
    student, teacher, _ = batch
    right = teacher.argmax(-1)
    for style in ("shift", "label_smooth"):
        corrected = per_sample_loss(la(tau=tau, style=style), student, teacher, right)
        torch.testing.assert_close(corrected, per_sample_loss(kd(tau=tau), student, teacher, right))


@quickly
@given(batches())
def test_a_shifted_teacher_is_right_and_no_less_sure(batch):
    student, teacher, labels = batch
    shifted = probability_shift(student, teacher, labels)
    assert torch.equal(shifted.argmax(-1), labels)
    assert torch.equal(shifted.sort(-1).values, teacher.sort(-1).values)


@quickly
@given(batches(), taus)
def test_normkd_is_logit_standardisation_weighted_by_the_teachers_variance(batch, tau):
    student, teacher, labels = batch
    standard = per_sample_loss(lskd(tau=tau), student, teacher, labels)
    weighted = teacher.var(dim=-1) * standard
    # 1e-2: standardisation adds 1e-7 to deviations that can fall below 1e-4
    torch.testing.assert_close(
        per_sample_loss(normkd(tau=tau), student, teacher, labels), weighted, rtol=1e-2, atol=1e-6
    )


@quickly
@given(batches(), taus)
def test_kd_is_tckd_and_the_teachers_doubt_times_nckd(batch, tau):
    _, teacher, labels = batch
    target = per_sample_loss(dkd(alpha=1.0, beta=0.0, tau=tau), *batch)
    rest = per_sample_loss(dkd(alpha=0.0, beta=1.0, tau=tau), *batch)
    sure = (teacher / tau).softmax(-1).gather(-1, labels[:, None]).squeeze(1)
    torch.testing.assert_close(target + (1 - sure) * rest, per_sample_loss(kd(tau=tau), *batch))


@quickly
@given(batches(), taus, taus, st.floats(0, 3), st.floats(0, 9))
def test_rld_is_dkd_where_the_teacher_is_right(batch, tau, sc_tau, alpha, beta):
    student, teacher, _ = batch
    right = teacher.argmax(-1)
    refined = per_sample_loss(rld(alpha=alpha, beta=beta, tau=tau, sc_tau=sc_tau), student, teacher, right)
    confidence = per_sample_loss(dkd(alpha=alpha, beta=0.0, tau=sc_tau), student, teacher, right)
    relations = per_sample_loss(dkd(alpha=0.0, beta=beta, tau=tau), student, teacher, right)
    torch.testing.assert_close(refined, confidence + relations)


@quickly
@given(batches())
def test_dkd_with_the_refinement_of_la_sees_a_right_teacher(batch):
    student, teacher, labels = batch
    shifted = probability_shift(student, teacher, labels)
    corrected = per_sample_loss(compose(dkd(), refine=la()), student, teacher, labels)
    torch.testing.assert_close(corrected, per_sample_loss(dkd(), student, shifted, labels))


@quickly
@given(batches())
def test_la_on_dtd_is_the_papers_whole_method(batch):
    whole = per_sample_loss(dtd(shift=True), *batch)
    torch.testing.assert_close(per_sample_loss(compose(la(), temperature=dtd()), *batch), whole)
    torch.testing.assert_close(per_sample_loss(compose(dtd(), refine=la()), *batch), whole)


@quickly
@given(batches())
def test_wttm_is_ttm_weighted_between_one_and_a_power_of_the_classes(batch):
    _, teacher, _ = batch
    weight = teacher.softmax(-1).pow(0.2).sum(-1)
    plain = per_sample_loss(ttm(gamma=0.2), *batch)
    torch.testing.assert_close(per_sample_loss(wttm(gamma=0.2), *batch), weight * plain)
    assert ((weight >= 1 - 1e-12) & (weight <= teacher.shape[1] ** 0.8 + 1e-9)).all()


@quickly
@given(batches(), taus)
def test_jsd_is_symmetric_and_bounded(batch, tau):
    student, teacher, labels = batch
    there, back = (per_sample_loss(jsd(tau=tau), *pair, labels) for pair in ((student, teacher), (teacher, student)))
    torch.testing.assert_close(there, back)
    assert (there <= tau**2 * math.log(2) + 1e-9).all()


@quickly
@given(batches())
def test_a_high_temperature_makes_kd_the_squared_distance_of_centred_logits(batch):
    student, teacher, labels = batch
    centred = [logits - logits.mean(-1, keepdim=True) for logits in (student, teacher)]
    limit = 0.5 * per_sample_loss(mse(), *centred, labels)
    # tau^2 x rounding of 1e-16 is 1e-4 of a loss of 1e-4 at worst
    torch.testing.assert_close(per_sample_loss(kd(tau=1e5), student, teacher, labels), limit, rtol=1e-2, atol=1e-5)


@quickly
@given(batches(), st.floats(0.1, 10))
def test_normkd_does_not_see_the_students_scale(batch, scale):
    student, teacher, labels = batch
    scaled = per_sample_loss(normkd(), scale * student, teacher, labels)
    torch.testing.assert_close(scaled, per_sample_loss(normkd(), student, teacher, labels))


@quickly
@given(batches(), taus)
def test_dtd_without_bias_is_kd(batch, tau):
    for rule in ("flsw", "cwsm"):
        steady = per_sample_loss(dtd(rule=rule, tau=tau, bias=0.0, min_tau=0.1), *batch)
        torch.testing.assert_close(steady, per_sample_loss(kd(tau=tau), *batch))


@quickly
@given(batches(), taus)
def test_dtd_keeps_the_mean_temperature(batch, tau):
    for confusion in (cwsm, flsw(2.0, "cosine"), flsw(0.5, "probability")):
        assert following(confusion, tau, 3.0, -math.inf)(*batch).student.mean().item() == pytest.approx(tau)


@quickly
@given(batches(), taus)
def test_where_the_teacher_is_right_kd_is_rld_with_mc_weighted_by_the_teachers_doubt(batch, tau):
    student, teacher, _ = batch
    right = teacher.argmax(-1)
    sc = per_sample_loss(rld(alpha=1.0, beta=0.0, sc_tau=tau), student, teacher, right)
    mc = per_sample_loss(rld(alpha=0.0, beta=1.0, tau=tau), student, teacher, right)
    doubt = 1 - (teacher / tau).softmax(-1).amax(-1)
    torch.testing.assert_close(sc + doubt * mc, per_sample_loss(kd(tau=tau), student, teacher, right))


@pytest.mark.parametrize("name", names())
@quickly
@given(
    logits=arrays("float32", (2, 3, 4), elements=st.floats(-6e4, 6e4, width=32)),
    labels=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_any_logits_that_float16_can_hold_give_a_finite_loss_and_gradient(name, logits, labels):
    method = make_method(name)
    student, teacher = torch.from_numpy(logits).repeat(1, method.views, 1)
    student = student.clone().requires_grad_()
    losses = per_sample_loss(method, student, teacher, torch.tensor(labels).repeat(method.views))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert student.grad.isfinite().all()
