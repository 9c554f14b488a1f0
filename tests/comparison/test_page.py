"""The pictures of a page show what the runs measured."""

from dataclasses import replace

from cache_kd.comparison.grid import Group
from cache_kd.comparison.page import sections_of
from cache_kd.comparison.record import EpochRecord, Record


def record(seed: int, accuracy: float, seconds: float, **group) -> Record:
    described = Group(**{"store": "r20", "student": "resnet8", "method": "kd"} | group)
    epoch = EpochRecord(
        accuracy=accuracy, cross_entropy=1.0, agreement=0.8, calibration_error=0.05, label_loss=1.2,
        tau=((4.0,) * 5, (4.0,) * 5), seconds=seconds, step_seconds=seconds / 10, waiting=0.01, peak_bytes=10**9,
    )  # fmt: skip
    return Record(
        name=f"{described.label}-s{seed}", group=described, seed=seed, epochs=(epoch,), reliability=None,
        store_id="0" * 16, environment={"device": "cpu"},
    )  # fmt: skip


def test_a_live_teacher_has_the_colour_of_its_method():
    (section,) = sections_of(
        [record(0, 0.7, 2.0), record(0, 0.6, 1.0, method="ce"), record(0, 0.7, 6.0, teacher="live")]
    )
    cached, plain, live = section.series
    assert (cached.colour == live.colour, live.live) == (True, True)
    assert plain.colour != cached.colour


def test_what_nobody_measured_has_no_picture():
    lone = record(0, 0.7, 2.0)
    blind = replace(lone, epochs=(replace(lone.last, accuracy=None, agreement=None, peak_bytes=None, tau=()),))
    (section,) = sections_of([blind])
    drawn = {caption for panel in section.panels for caption, _ in panel.svgs}
    assert drawn == {
        "Calibration error", "Test cross-entropy", "Cross-entropy with the labels in training", "Time per step",
        "Share of the time that a step waits for its batch",
    }  # fmt: skip


def test_equal_figures_give_equal_pictures():
    first, second = (sections_of([record(0, 0.7, 2.0)]) for _ in range(2))
    assert [panel.svgs for panel in first[0].panels] == [panel.svgs for panel in second[0].panels]
