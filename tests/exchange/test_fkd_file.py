"""A file of FKD's soft labels is read without running anything, and what it cannot mean is refused."""

import numpy as np
import pytest
import torch
from fkd_writer import draw_crops, label_of, save

from cache_kd.errors import ModelError
from cache_kd.exchange.fkd_file import read_fkd_file


@pytest.fixture
def saved():
    """Boxes, flips, and a softmax over ten classes of three crops."""
    generator = np.random.default_rng(0)
    softmax = torch.from_numpy(generator.normal(0, 3, (3, 10)).astype(np.float32)).softmax(1).numpy()
    return (*draw_crops(generator, 32, 40), softmax)


@pytest.mark.parametrize(
    ("kind", "top"), [("smoothing", 1), ("marginal_smoothing_k5", 5), ("marginal_smoothing_k10", 10)]
)
@pytest.mark.parametrize("half", [False, True])
def test_every_soft_kind_is_read_in_both_precisions(saved, tmp_path, kind, top, half):
    boxes, flips, softmax = saved
    save(tmp_path / "x.tar", boxes, flips, label_of(softmax, kind), half=half)
    found = read_fkd_file(tmp_path / "x.tar", classes=10)
    kept = np.float16 if half else np.float32
    assert np.array_equal(found.boxes, np.column_stack([boxes.astype(kept).astype(np.float32), flips]))
    assert found.classes.shape == (3, top)
    assert np.array_equal(found.classes[:, 0], softmax.argmax(1))
    of_classes = np.take_along_axis(softmax.astype(kept).astype(np.float32), found.classes, axis=1)
    assert np.array_equal(found.probabilities, of_classes)
    assert found.rounding == np.finfo(kept).eps


def test_files_of_numpy_1_and_of_tensors_are_read_too(saved, tmp_path):
    boxes, flips, softmax = saved
    labels = label_of(softmax, "marginal_smoothing_k5")
    save(tmp_path / "new.tar", boxes, flips, labels)
    torch.save([torch.from_numpy(each) for each in (boxes, flips, labels)], tmp_path / "tensors.tar")
    torch.save([boxes, flips, labels], tmp_path / "old.tar", _use_new_zipfile_serialization=False)
    old = (tmp_path / "old.tar").read_bytes()
    assert b"numpy._core.multiarray" in old
    (tmp_path / "old.tar").write_bytes(old.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    expected = read_fkd_file(tmp_path / "new.tar", classes=10)
    for name in ("tensors.tar", "old.tar"):
        found = read_fkd_file(tmp_path / name, classes=10)
        assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


class Command:
    """What a pickle may hold."""

    def __reduce__(self):
        return print, ("it ran",)


def test_nothing_is_unpickled(saved, tmp_path, capsys):
    boxes, flips, _ = saved
    torch.save([boxes, flips, Command()], tmp_path / "command.tar")
    torch.save([boxes, flips, np.array([Command()], dtype=object)], tmp_path / "inside.tar")
    for name in ("command.tar", "inside.tar"):
        with pytest.raises(ModelError, match="it is no torch file, or holds more than arrays"):
            read_fkd_file(tmp_path / name, classes=10)
    assert "it ran" not in capsys.readouterr().out


def test_class_indices_of_float16_are_refused_beyond_2048_classes(saved, tmp_path):
    boxes, flips, softmax = saved
    save(tmp_path / "x.tar", boxes, flips, label_of(softmax, "marginal_smoothing_k5"), half=True)
    assert read_fkd_file(tmp_path / "x.tar", classes=2048)
    with pytest.raises(ModelError, match=r"float16, .* beyond 2048: of 21,841 classes most are wrong.*--use_fp16"):
        read_fkd_file(tmp_path / "x.tar", classes=21841)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b, f, y: [b, f, y[:, 0, 0].astype(np.int64)], "holds hard labels"),
        (lambda b, f, y: [b, f], "holds 2 arrays"),
        (lambda b, f, y: {"boxes": b}, "holds dict"),
        (lambda b, f, y: [b, f, y.tolist()], "holds list"),
        (lambda b, f, y: [b[:, :3], f, y], r"holds float32 \[3, 3\], bool \[3\], float32 \[3, 2, 5\]; expected"),
        (lambda b, f, y: [b[:2], f, y], r"expected floating boxes \[crops, 4\]"),
        (lambda b, f, y: [b, f.astype(np.int64), y], r"flips bool \[crops\]"),
        (lambda b, f, y: [*map(torch.from_numpy, (b[:0], f[:0], y[:0]))], r"float32 \[0, 4\].* expected"),
        (lambda b, f, y: [b, f, y + np.array([[0.5], [0]])], "has the class index .*; the images have 10 classes"),
        (lambda b, f, y: [b, f, y + np.array([[6], [0]])], "has the class index 1.; the images have 10 classes"),
        (lambda b, f, y: [b, f, y * [[[0], [1]]]], "one class twice"),
        (lambda b, f, y: [b, f, y * [[[1], [3]]]], "add up to"),
        (lambda b, f, y: [b, f, y * [[[1], [np.nan]]]], "add up to nan"),
        (lambda b, f, y: [b * [32, 40, 32, 40], f, y], r"has the box \[.*\] for crop 0"),
        (lambda b, f, y: [b * [1, 1, 0, 1], f, y], "as shares of the picture"),
    ],
)
def test_what_it_cannot_mean_is_one_sentence(saved, tmp_path, change, words):
    boxes, flips, softmax = saved
    torch.save(change(boxes, flips, label_of(softmax, "marginal_smoothing_k5")), tmp_path / "x.tar")
    with pytest.raises(ModelError, match=words) as caught:
        read_fkd_file(tmp_path / "x.tar", classes=10)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_was_cut_short_or_is_gone_is_one_sentence(saved, tmp_path):
    boxes, flips, softmax = saved
    save(tmp_path / "x.tar", boxes, flips, label_of(softmax, "smoothing"))
    content = (tmp_path / "x.tar").read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.tar").write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"cut\.tar cannot be read .* Expected what FKD"):
            read_fkd_file(tmp_path / "cut.tar", classes=10)
    with pytest.raises(ModelError, match=r"cannot be read \(No such file"):
        read_fkd_file(tmp_path / "gone.tar", classes=10)
