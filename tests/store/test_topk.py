"""What a store of the largest logits keeps of the rest: its statistics exactly, its classes as foreseen."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cache_kd.errors import ModelError
from cache_kd.store.codec import Answers, make_codec
from cache_kd.store.codecs.topk import TopK
from cache_kd.store.fidelity import measure_fidelity

CLASSES = 200


@pytest.fixture(scope="module")
def teacher():
    """A function of a number: answers with few directions, heavy tails and confident labels, as networks give."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(24, CLASSES, generator=generator)

    def answers(seed: int, rows: int) -> Answers:
        own = torch.Generator().manual_seed(seed)
        logits = torch.randn(rows, 24, generator=own).pow(3) @ directions / 6
        logits += torch.randn(rows, CLASSES, generator=own)
        labels = logits.argmax(dim=1)
        labels[::4] = torch.randint(CLASSES, (len(labels[::4]),), generator=own)  # outside the largest, mostly
        return Answers(logits, labels)

    return answers


@pytest.fixture(scope="module", params=[{}, {"exact": True}, {"k": 5, "exact": True}], ids=str)
def codec(request, teacher) -> TopK:
    made = make_codec({"name": "topk", "k": 16, **request.param})
    return made.equipped(made.fit(teacher(1, 2000)))


def test_what_temperatures_and_targets_read_of_a_row_is_right(codec, teacher):
    answers = teacher(2, 500)
    exact, stored = _statistics(answers), _statistics(answers._replace(logits=_stored(codec, answers)))
    # a float16 largest logit of up to 60 is off by 0.016, and so is what contains it
    slack = 0.0 if codec.exact else 0.016
    for name in ("max", "min", "label"):
        assert (exact[name] - stored[name]).abs().max() <= slack
    for name in ("mean", "std", "logsumexp 1", "logsumexp 2", "logsumexp 4"):
        error = (exact[name] - stored[name]).abs()
        assert error.mean() <= 1e-3 + slack, name
        assert error.max() <= 0.03 + slack, name
    if codec.exact:
        assert torch.equal(exact["rank"], stored["rank"])


@pytest.mark.parametrize("k", [1, 4])
@settings(max_examples=60)
@given(
    rows=arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.integers(1, 45)),
        elements=st.one_of(st.floats(-65504, 65504, width=32), st.sampled_from([0.0, 1.0, -3.0])),
    ),
    label=st.integers(0, 44),
)
def test_extremes_label_and_rank_of_any_row_come_back(k, rows, label):
    logits = torch.from_numpy(rows)
    answers = Answers(logits, torch.full((len(rows),), label % rows.shape[1]))
    codec = make_codec({"name": "topk", "k": k, "exact": True})
    codec = codec.equipped(codec.fit(answers))
    exact, stored = _statistics(answers), _statistics(answers._replace(logits=_stored(codec, answers)))
    for name in ("max", "min", "label", "rank"):
        assert torch.equal(exact[name], stored[name]), name
    # runs that hold one far outlier are cut off at the extremes
    span = (exact["max"] - exact["min"]).clamp(min=1e-30)
    assert ((exact["mean"] - stored["mean"]).abs() <= 0.06 * span).all()
    assert ((exact["std"] - stored["std"]).abs() <= 0.1 * span).all() or rows.shape[1] == 1


def test_the_order_of_the_rest_is_foreseen_from_the_largest(teacher):
    answers = teacher(2, 500)
    made = make_codec({"name": "topk", "k": 16})
    codec = made.equipped(made.fit(teacher(1, 2000)))
    # what was fitted to rows whose classes were renamed knows nothing of these
    renamed = teacher(1, 2000)
    order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(0))
    back = order.argsort()
    stranger = made.equipped(made.fit(Answers(renamed.logits[:, order], back[renamed.labels])))
    known, unknown = (measure_fidelity(answers.logits, _stored(each, answers)).kl[4] for each in (codec, stranger))
    assert known < unknown / 2


def test_of_few_classes_all_are_kept():
    logits = 3 * torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    codec = make_codec({"name": "topk", "k": 8, "exact": True})
    answers = Answers(logits, logits.argmax(dim=1))
    assert codec.fit(answers) == {}
    assert [array.width for array in codec.arrays(30)] == [30, 30]
    assert torch.equal(_stored(codec.equipped({}), answers), logits)


def test_classes_beyond_65536_are_told_apart():
    dtypes = [array.dtype for array in make_codec("topk").arrays(70_000)]
    assert dtypes == ["float16", "uint32", "float32", "uint16", "uint32"]


def test_what_float16_cannot_hold_is_refused_unless_the_largest_are_exact(teacher):
    answers = teacher(2, 4)
    answers.logits[1, 3] = 70_000
    made = make_codec("topk")
    with pytest.raises(ModelError, match=r"row 1, class 3: .*set `exact`"):
        made.equipped(made.fit(answers)).encode(answers)
    made = make_codec({"name": "topk", "exact": True})
    codec = made.equipped(made.fit(answers))
    assert _stored(codec, answers)[1, 3] == 70_000


def _stored(codec, answers: Answers) -> torch.Tensor:
    return torch.from_numpy(codec.decode(codec.encode(answers), answers.logits.shape[1]))


def _statistics(answers: Answers) -> dict[str, torch.Tensor]:
    logits = answers.logits.double()
    label = logits.gather(1, answers.labels[:, None])
    return {
        "mean": logits.mean(1),
        "std": logits.std(1) if logits.shape[1] > 1 else logits[:, 0] * 0,
        "max": logits.amax(1),
        "min": logits.amin(1),
        "label": label[:, 0],
        "rank": (logits >= label).sum(1),
        **{f"logsumexp {tau}": (logits / tau).logsumexp(1) for tau in (1, 2, 4)},
    }
