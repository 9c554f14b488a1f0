import pytest
import torch
from pydantic import ValidationError

from cache_kd.config import build
from cache_kd.errors import ConfigError
from cache_kd.schedule import Course, Schedule, warm_up


def test_warm_up_is_linear_and_then_the_rest_of_the_schedule_begins():
    schedule = Schedule(name="cosine", warmup_epochs=2)
    assert [schedule.factor(epoch, 10) for epoch in (0.0, 1.0, 2.0)] == [0.0, 0.5, 1.0]
    assert schedule.factor(10.0, 10) == 0.0


def test_a_warm_up_may_begin_above_nothing():
    schedule = Schedule(name="step", milestones=(3,), warmup_epochs=2, warmup_from=0.2)
    assert [schedule.factor(epoch, 10) for epoch in (0.0, 1.0, 2.0, 3.0)] == pytest.approx([0.2, 0.6, 1.0, 0.1])


@pytest.mark.parametrize("rise", [0, 1.5])
def test_one_cycle_is_that_of_torch(rise):
    """Torch counts the steps so that its last one is the end: n + 1 of them are the positions 0 to n of ours."""
    epochs, per_epoch = 10, 4
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = epochs * per_epoch
    share = (rise or 0.3 * epochs) / epochs
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=steps + 1, pct_start=(share * steps + 1) / (steps + 1), cycle_momentum=False
    )
    ours = Schedule(name="one-cycle", warmup_epochs=rise)
    for step in range(steps + 1):
        assert ours.factor(step / per_epoch, epochs) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), step
        if step < steps:
            optimiser.step()
            theirs.step()


def test_a_cosine_ends_on_its_floor():
    schedule = Schedule(name="cosine", floor=0.1)
    assert [schedule.factor(epoch, 10) for epoch in (0.0, 5.0, 10.0)] == pytest.approx([1.0, 0.55, 0.1])


def test_steps_multiply_at_each_milestone():
    schedule = Schedule(name="step", milestones=(150, 180, 210))
    assert [schedule.factor(epoch, 240) for epoch in (0.0, 149.0, 150.0, 180.0, 239.0)] == pytest.approx(
        [1, 1, 0.1, 0.01, 0.001]
    )


def test_milestones_that_a_training_does_not_come_to_are_found():
    assert Schedule(name="step", milestones=(150, 180)).unreached(180) == (180,)
    assert Schedule(name="cosine").unreached(30) == ()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "step"}, r"there are none; set schedule\.milestones, such as \[15,25\]"),
        (
            {"milestones": [1]},
            r"milestones has no effect where .* 'cosine'; set schedule\.milestones=\[\], or .* 'step'",
        ),
        ({"name": "step", "milestones": [3, -1]}, r"milestones\.1: Input should be greater than 0 \(found -1\)"),
        ({"name": "step", "milestones": [0]}, r"milestones\.0: Input should be greater than 0"),
        ({"name": "constant", "gamma": 0.5}, r"gamma has no effect where .* 'constant'; set schedule\.gamma=0\.1"),
        (
            {"name": "one-cycle", "floor": 0.1},
            r"floor has no effect where .* 'one-cycle'; .* schedule\.name to 'cosine'",
        ),
        (
            {"name": "one-cycle", "warmup_epochs": 2, "warmup_from": 0.1},
            r"warmup_from has no effect where .* 'one-cycle'",
        ),
        ({"warmup_from": 0.1}, r"without a warm-up; set schedule\.warmup_epochs too"),
    ],
)
def test_a_number_of_a_schedule_that_would_do_nothing_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        build(Schedule, asked)


@pytest.mark.parametrize("name", ["constant", "cosine", "step", "one-cycle"])
def test_a_schedule_is_read_back_with_all_its_numbers(name):
    schedule = Schedule(name=name, milestones=(2,) if name == "step" else ())
    assert build(Schedule, schedule.model_dump(mode="json")) == schedule


def test_constant_stays():
    assert Schedule(name="constant").factor(7.0, 10) == 1.0


def test_the_factor_is_continuous_at_the_end_of_the_warm_up():
    schedule = Schedule(name="cosine", warmup_epochs=3)
    assert schedule.factor(3 - 1e-9, 10) == pytest.approx(schedule.factor(3.0, 10), abs=1e-6)


def test_a_warm_up_is_that_of_the_papers():
    # min(epoch / 20, 1), with the first epoch counted as 1
    assert [warm_up(20).at(epoch) for epoch in (1, 10, 20, 240)] == pytest.approx([0.05, 0.5, 1, 1])
    assert warm_up(1).at(1) == 1


def test_a_course_holds_outside_of_its_points():
    course = Course(points=((3, 5.0), (5, 1.0)))
    assert [course.at(epoch) for epoch in (1, 3, 4, 5, 9)] == [5, 5, 3, 1, 1]
    assert Course(points=((7, 2.0),)).at(1) == 2


@pytest.mark.parametrize(("between", "middle"), [("linear", 0.75), ("cosine", 0.5 + 0.5**1.5), ("hold", 1.0)])
def test_the_ways_from_one_point_to_the_next(between, middle):
    assert Course(points=((0, 1.0), (8, 0.0)), between=between).at(2) == pytest.approx(middle)
    assert Course(points=((0, 1.0), (8, 0.0)), between=between).at(8) == 0


def test_epochs_that_do_not_go_up_are_refused():
    with pytest.raises(ValidationError, match="go up"):
        Course(points=((5, 1.0), (5, 2.0)))
