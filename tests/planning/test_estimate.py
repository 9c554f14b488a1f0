"""The arithmetic of a dump against a live teacher, by hand and by its laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_kd.planning.estimate import Speed, estimate

SPEED = Speed(render=0.001, teacher=0.01, dump=0.012)
COUNTS = st.integers(1, 10**6)
SECONDS = st.floats(1e-7, 1)


def test_an_estimate_by_hand():
    found = estimate(SPEED, samples=1000, test_samples=200, views=4, students=3, epochs=100)
    assert found.dump_views == 4200
    assert found.dump_seconds == pytest.approx(50.4)
    assert found.live_epoch_seconds == pytest.approx(10)
    assert found.even_epochs == pytest.approx(5.04)
    assert found.even_students == 1
    assert found.live_views == 300_000
    assert found.saved_seconds == pytest.approx(3000 - 50.4)
    for words in ("4,200 times and takes 50 s", "300,000 times by 3 student(s) of 100 epochs", "10 s of each epoch",
                  "after 5.0 epochs of one student", "saves 49 min"):  # fmt: skip
        assert words in str(found)


def test_many_views_for_few_epochs_are_paid_for_by_several_students_or_never():
    found = estimate(SPEED, samples=1000, test_samples=0, views=10, students=2, epochs=5)
    assert found.even_students == 3
    assert found.saved_seconds == pytest.approx(100 - 120)
    assert "paid for after 3 students; over all of them it costs more than a live teacher, by 20 s" in str(found)


@given(
    st.builds(Speed, render=SECONDS, teacher=SECONDS, dump=SECONDS), COUNTS, COUNTS, st.integers(1, 100), COUNTS, COUNTS
)
def test_it_saves_from_the_student_on_that_it_names(speed, samples, test_samples, views, students, epochs):
    given_counts = {"samples": samples, "test_samples": test_samples, "views": views, "epochs": epochs}
    found = estimate(speed, students=students, **given_counts)
    even = estimate(speed, students=found.even_students, **given_counts)
    rounding = 1e-9 * found.dump_seconds
    assert even.saved_seconds >= -rounding
    if found.even_students > 1:
        assert estimate(speed, students=found.even_students - 1, **given_counts).saved_seconds < rounding
    assert found.even_students == max(1, -(-found.even_epochs // epochs))
