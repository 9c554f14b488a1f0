import h5py
import numpy as np
import pytest

from cache_kd.errors import SourceError
from cache_kd.sources import SourceSpec, hdf5, open_source, splits


def _replace(name, content):
    def change(file):
        del file[name]
        if content is not None:
            file[name] = content

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replace("train/images", None), r"'train' holds \['labels'\], no 'images'\. Expected groups"),
        (_replace("train/labels", None), r"no 'labels'"),
        (_replace("train", np.zeros(3)), r"'train' holds no group"),
        (_replace("train/images", np.zeros((20, 8, 9, 3), "f4")), "images are float32; expected uint8"),
        (_replace("train/images", np.zeros((20, 8), "u1")), r"shape \[20, 8\]; expected \[N, height"),
        (_replace("train/images", np.zeros((20, 3, 8, 9), "u1")), r"channels first.*transpose\(0, 2, 3, 1\)"),
        (_replace("train/images", np.zeros((0, 8, 9, 3), "u1")), "there are none; expected at least one"),
        (_replace("train/images", np.uint8(3)), r"'train/images' holds a single value\. Expected groups"),
        (_replace("train/images", h5py.Empty("u1")), r"'train/images' holds nothing\. Expected groups"),
        (_replace("train/labels", np.int64(3)), r"'train/labels' holds a single value\. Expected groups"),
        (_replace("train/labels", h5py.Empty("i8")), r"'train/labels' holds nothing\. Expected groups"),
        (_replace("train/labels", np.zeros(19, "i8")), "19 labels for 20 images"),
        (_replace("train/labels", np.zeros((20, 3), "i8")), r"shape \[20, 3\]; expected one class index per image"),
        (_replace("train/labels", np.zeros(20)), "labels are float64; expected integers"),
        (_replace("train/labels", np.arange(20) - 3), "label -3 at sample 0; expected 0 or more"),
        (
            _replace("train/labels", np.array([*range(19), 2**32 - 1], "u4")),
            "label 4294967295 at sample 19; expected less than 1,048,576 .* Mend the label",
        ),
        (_replace("train/labels", np.array([*range(19), 2**64 - 1], "u8")), "label 18446744073709551615 at sample 19"),
        (lambda file: file.attrs.update(classes=["cat", "dog"]), "label 2 at sample 2, but there are 2 classes"),
        (
            lambda file: file.attrs.update(classes=10),
            "the attribute `classes` is .*10.*; it holds the name of each class",
        ),
    ],
)
@pytest.mark.parametrize("limit", [0, 2**30])
def test_what_is_not_images_and_labels_is_named(make_hdf5, monkeypatch, change, message, limit):
    monkeypatch.setattr(hdf5, "MEMORY_LIMIT", limit)
    with pytest.raises(SourceError, match=message):
        open_source(SourceSpec(data=str(make_hdf5(change))))


def test_a_file_that_is_missing_or_no_hdf5_is_named(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        open_source(SourceSpec(data=str(tmp_path / "none.h5")))
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(SourceError, match=r"8 bytes\) cannot be read as HDF5"):
        open_source(SourceSpec(data=str(tmp_path / "text.h5")))


def test_a_file_without_the_groups_is_named(tmp_path):
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(SourceError, match=r"holds \['images'\]\. Expected groups 'train'"):
        open_source(SourceSpec(data=str(tmp_path / "flat.h5")))


def test_a_missing_test_group_is_no_error(make_hdf5):
    spec = SourceSpec(data=str(make_hdf5(_replace("test", None))))
    assert splits(spec) == ("train",)
    assert len(open_source(spec)) == 20


@pytest.mark.parametrize("names", [["cat", "dog", "Maus ß"], np.array([b"cat", b"dog", b"Maus \xc3\x9f"])])
def test_the_classes_have_the_names_in_the_file(make_hdf5, names):
    source = open_source(SourceSpec(data=str(make_hdf5(lambda file: file.attrs.update(classes=names)))))
    assert source.class_names == ("cat", "dog", "Maus ß")


def test_a_test_split_that_lacks_a_class_has_the_classes_of_the_training_split(make_hdf5):
    path = make_hdf5(_replace("test/labels", np.zeros(6, "u1")))
    assert open_source(SourceSpec(data=str(path), split="test")).classes == 3


def test_a_test_label_that_no_training_image_has_is_refused(make_hdf5):
    path = make_hdf5(_replace("test/labels", np.array([0, 1, 3, 0, 0, 0])))
    with pytest.raises(SourceError, match="label 3 at sample 2, but there are 3 classes"):
        open_source(SourceSpec(data=str(path), split="test"))


def test_a_training_split_without_samples_is_refused_with_its_test_split(make_hdf5):
    path = make_hdf5(_replace("train/labels", np.zeros(0, "i8")))
    with pytest.raises(SourceError, match=r"\(train\): there are no labels; expected at least one"):
        open_source(SourceSpec(data=str(path), split="test"))


@pytest.mark.parametrize("kind", ["u1", "i4", "u8", ">i2"])
def test_labels_may_be_any_integers(make_hdf5, kind):
    source = open_source(SourceSpec(data=str(make_hdf5(_replace("train/labels", (np.arange(20) % 3).astype(kind))))))
    assert source.labels().dtype == np.int64


@pytest.mark.parametrize("small_row", [0, 2**20])
@pytest.mark.parametrize("grey", [False, True])
def test_disk_and_memory_give_the_same(make_hdf5, pictures, monkeypatch, small_row, grey):
    images = pictures["train"][0][..., 0] if grey else pictures["train"][0]
    spec = SourceSpec(data=str(make_hdf5(_replace("train/images", images))))
    in_memory = open_source(spec)
    monkeypatch.setattr(hdf5, "MEMORY_LIMIT", 0)
    monkeypatch.setattr(hdf5, "SMALL_ROW", small_row)
    on_disk = open_source(spec)
    samples = np.array([5, 19, 0, 5])
    np.testing.assert_array_equal(on_disk.images(samples), in_memory.images(samples))
    assert on_disk.fingerprint() == in_memory.fingerprint()
    assert on_disk.channels == in_memory.channels == (1 if grey else 3)


def _external_links(file, part):
    for name in ("images", "labels"):
        file[f"train/{name}"] = h5py.ExternalLink(part, f"train/{name}")


def _group_behind_a_link(file, part):
    file["train"] = h5py.ExternalLink(part, "train")


def _virtual(file, part):
    for name, shape, kind in (("images", (20, 8, 9, 3), "u1"), ("labels", (20,), "i8")):
        layout = h5py.VirtualLayout(shape, kind)
        layout[:] = h5py.VirtualSource(part, f"train/{name}", shape)
        file.create_virtual_dataset(f"train/{name}", layout)


def _raw_bytes_beside(file, part):
    with h5py.File(part) as whole:
        images, labels = whole["train/images"], whole["train/labels"]
        beside = [(part, images.id.get_offset(), images.nbytes)]
        file.create_dataset("train/images", images.shape, "u1", external=beside)
        beside = [(part, labels.id.get_offset(), labels.nbytes)]
        file.create_dataset("train/labels", labels.shape, "i8", external=beside)


@pytest.mark.parametrize("limit", [0, 2**30])
@pytest.mark.parametrize("refer", [_external_links, _group_behind_a_link, _virtual, _raw_bytes_beside])
@pytest.mark.parametrize("changed", ["images", "labels"])
def test_what_changes_in_a_linked_file_is_noticed(make_hdf5, tmp_path, settled, monkeypatch, limit, refer, changed):
    monkeypatch.setattr(hdf5, "MEMORY_LIMIT", limit)
    part = make_hdf5(name="part.h5")
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        refer(file, str(part))
    spec = SourceSpec(data=str(tmp_path / "linked.h5"))
    before = open_source(spec).fingerprint()
    assert open_source(spec).fingerprint() == before == open_source(SourceSpec(data=str(part))).fingerprint()
    with h5py.File(part, "r+") as file:
        file[f"train/{changed}"][4] = 0
    assert open_source(spec).fingerprint() != before
