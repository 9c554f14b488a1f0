"""What a dump takes, what a live teacher takes instead, and when the one has paid for the other: pure arithmetic."""

from math import ceil

from cache_kd.config import Config


class Speed(Config):
    """Seconds for one view, as measured on a pilot.

    Attributes:
        render: rendering it, alone and in one process.
        teacher: the teacher's forward pass, alone; normalisation and the way to the device and back included.
        dump: both as a dump does them, rendered ahead of the teacher.
    """

    render: float
    teacher: float
    dump: float


class Estimate(Config):
    """Seconds, students and epochs; everything is on the machine of the pilot.

    Attributes:
        dump_views: that the teacher is asked for a dump: V views of each training image, and the plain test images.
        dump_seconds: how long that takes.
        live_epoch_seconds: what an epoch with a live teacher takes beyond one from the cache: a forward pass of the
            teacher for each training image. Reading the cache instead is left out; it takes microseconds a row.
        even_epochs: epochs of a live teacher that take as long as the dump.
        even_students: the same in students, rounded up.
        students: that are to be trained.
        epochs: of each.
        live_views: that a live teacher is asked for them.
        saved_seconds: what the dump saves them in all; below 0 where it costs more than it saves.
    """

    dump_views: int
    dump_seconds: float
    live_epoch_seconds: float
    even_epochs: float
    even_students: int
    students: int
    epochs: int
    live_views: int
    saved_seconds: float

    def __str__(self) -> str:
        """The arithmetic in words."""
        even = (
            f"{self.even_epochs:.1f} epochs of one student"
            if self.even_epochs <= self.epochs
            else f"{self.even_students} students"
        )
        balance = "saves" if self.saved_seconds >= 0 else "costs more than a live teacher, by"
        return (
            f"The dump asks the teacher {self.dump_views:,} times and takes {duration(self.dump_seconds)}. "
            f"A live teacher is asked {self.live_views:,} times by {self.students} student(s) of {self.epochs} epochs, "
            f"{duration(self.live_epoch_seconds)} of each epoch. "
            f"The dump is paid for after {even}; over all of them it {balance} {duration(abs(self.saved_seconds))}."
        )


def estimate(speed: Speed, *, samples: int, test_samples: int, views: int, students: int, epochs: int) -> Estimate:
    """What a dump takes and saves.

    Args:
        speed: of the pilot.
        samples: training images.
        test_samples: test images, of which a dump stores the plain view.
        views: of each training image in the store.
        students: that are to be trained.
        epochs: of each student.
    """
    dump_views = views * samples + test_samples
    dump_seconds = dump_views * speed.dump
    live_epoch = samples * speed.teacher
    return Estimate(
        dump_views=dump_views,
        dump_seconds=dump_seconds,
        live_epoch_seconds=live_epoch,
        even_epochs=dump_seconds / live_epoch,
        even_students=ceil(dump_seconds / (epochs * live_epoch)),
        students=students,
        epochs=epochs,
        live_views=students * epochs * samples,
        saved_seconds=students * epochs * live_epoch - dump_seconds,
    )


def duration(seconds: float) -> str:
    """Two digits that matter.

    >>> duration(0.034), duration(95.0), duration(5400.0), duration(720000.0)
    ('0.03 s', '1.6 min', '1.5 h', '200 h')
    """
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            value = seconds / length
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
