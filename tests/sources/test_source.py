"""The contract of every form of source, and what is said where there is none."""

import gzip
from dataclasses import dataclass

import layouts
import numpy as np
import pytest

from cache_kd.errors import ConfigError, SourceError
from cache_kd.sources import Source, SourceSpec, hdf5, open_source, splits

FORMS = (
    "hdf5", "hdf5 on disk", "tree", "function", "torchvision", "cifar-10", "cifar-100", "cinic-10", "cinic-10+valid",
    "tiny-imagenet", "imagenet",
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """What is opened, and what must come out: images and labels of each split."""

    spec: SourceSpec
    expected: dict
    classes: int


@pytest.fixture(params=FORMS)
def form(request, make_hdf5, tree, module, tmp_path, pictures, monkeypatch, named_root):
    name = request.param
    by_class = {split: _by_class(*pictures[split]) for split in pictures}
    if name == "hdf5 on disk":
        monkeypatch.setattr(hdf5, "MEMORY_LIMIT", 0)
    if name.startswith("hdf5"):
        return Form(SourceSpec(data=str(make_hdf5())), pictures, 3)
    if name == "tree":
        return Form(SourceSpec(data=str(tree)), by_class, 3)
    if name == "function":
        np.savez(tmp_path / "own.npz", **{f"{s}_{i}": part for s in pictures for i, part in enumerate(pictures[s])})
        function = module(
            "import numpy\ndef load(split):\n"
            "    whole = numpy.load('own.npz')\n    return whole[f'{split}_0'], whole[f'{split}_1']\n"
        )
        return Form(SourceSpec(data=f"{function}:load"), pictures, 3)
    root = tmp_path / "root"
    if name == "torchvision":
        _write_idx(root / "MNIST" / "raw", pictures)
        grey = {split: (images[..., :1], labels) for split, (images, labels) in pictures.items()}
        return Form(SourceSpec(data="mnist", root=str(root)), grey, 10)
    if name.startswith("cifar"):
        classes = int(name.partition("-")[2])
        whole = {"train": layouts.pictures(2 * classes, 32), "test": layouts.pictures(classes, 32, seed=1)}
        layouts.cifar(root, f"CIFAR{classes}", whole, monkeypatch)
        expected = {split: (images, np.arange(len(images)) % classes) for split, images in whole.items()}
        return Form(SourceSpec(data=name, root=str(root)), expected, classes)
    root, expected, classes = named_root(name)
    return Form(SourceSpec(data=name, root=str(root)), expected, classes)


@pytest.fixture
def spec(form):
    return form.spec


def test_it_gives_the_images_and_labels_that_were_put_in(form):
    for split in ("train", "test"):
        source = open_source(form.spec.model_copy(update={"split": split}))
        images, labels = form.expected[split]
        assert isinstance(source, Source)
        assert len(source) == len(images)
        assert source.channels == images.shape[3]
        assert source.labels().dtype == np.int64
        np.testing.assert_array_equal(source.labels(), labels)
        np.testing.assert_array_equal(source.images(np.arange(len(source))), images)


def test_samples_come_in_the_order_asked_for(spec):
    source = open_source(spec)
    whole, samples = source.images(np.arange(len(source))), np.array([7, 3, 3, 19, 0])
    np.testing.assert_array_equal(source.images(samples), whole[samples])


def test_both_splits_are_there_and_share_the_classes(form):
    assert splits(form.spec) == ("train", "test")
    train, test = open_source(form.spec), open_source(form.spec.model_copy(update={"split": "test"}))
    assert train.class_names == test.class_names
    assert train.classes == len(set(train.class_names)) == form.classes


def test_the_fingerprint_is_stable_and_differs_between_splits(spec):
    again = open_source(spec).fingerprint()
    assert open_source(spec).fingerprint() == again
    assert open_source(spec.model_copy(update={"split": "test"})).fingerprint() != again


def test_changing_what_images_returned_changes_nothing(spec):
    source, samples = open_source(spec), np.arange(3)
    before = source.images(samples).copy()
    source.images(samples)[:] = 0
    np.testing.assert_array_equal(source.images(samples), before)


def test_an_unknown_split_is_answered_with_those_there_are(spec):
    with pytest.raises(SourceError, match="no split 'valid'; it has train, test"):
        open_source(spec.model_copy(update={"split": "valid"}))


def test_a_path_that_is_not_there_is_answered_with_the_four_forms(tmp_path):
    with pytest.raises(SourceError, match=r"does not exist.*HDF5.*folder.*torchvision.*package\.module:function"):
        open_source(SourceSpec(data=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("form", ["tree", "h5", "root"])
def test_a_path_that_is_no_text_is_refused(tree, make_hdf5, tmp_path, form):
    name = str(tmp_path / "caf\udce9.h5")
    (make_hdf5() if form == "h5" else tree).rename(name)
    spec = SourceSpec(data="cinic-10", root=name) if form == "root" else SourceSpec(data=name)
    for look in (open_source, splits):
        with pytest.raises(SourceError, match=r"--\w+ '.*caf\\udce9\.h5' is not UTF-8\. Rename the file or folder"):
            look(spec)


def test_a_misspelt_data_set_is_answered_with_a_guess():
    with pytest.raises(SourceError, match="did you mean 'CIFAR100'"):
        open_source(SourceSpec(data="CIFRA100"))


def test_a_file_of_another_kind_is_answered_with_the_four_forms(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"is a file\. Expected one of"):
        open_source(SourceSpec(data=str(tmp_path / "images.zip")))


def test_a_torchvision_set_that_is_not_there_is_not_downloaded(tmp_path):
    for name in ("CIFAR100", "MNIST", "SVHN", "STL10"):
        with pytest.raises(SourceError, match=r"must be there already; nothing is downloaded\. Fetch it"):
            open_source(SourceSpec(data=name, root=str(tmp_path)))
    assert not list(tmp_path.glob("**/*.gz"))


@pytest.mark.parametrize("damage", ["empty", "cut", "legacy"])
def test_a_damaged_torchvision_set_is_deleted_before_it_is_fetched_again(tmp_path, pictures, damage):
    """torchvision downloads nothing while the files are there, whatever is in them."""
    _write_idx(tmp_path / "MNIST" / "raw", pictures)
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    if damage == "legacy":
        (tmp_path / "MNIST" / "processed").mkdir()
        for name in ("training.pt", "test.pt"):
            (tmp_path / "MNIST" / "processed" / name).write_bytes(b"no pickle")
    else:
        images.write_bytes(b"" if damage == "empty" else images.read_bytes()[:-100])
    with pytest.raises(
        SourceError, match=r"cannot read MNIST \(train\).*/MNIST is damaged\. Delete it first, then fetch"
    ):
        open_source(SourceSpec(data="mnist", root=str(tmp_path)))


def test_a_damaged_archive_of_usps_is_named(tmp_path):
    (tmp_path / "usps.bz2").write_bytes(b"no archive")
    with pytest.raises(SourceError, match=r"/usps\*\.bz2 is damaged\. Delete it first"):
        open_source(SourceSpec(data="usps", root=str(tmp_path)))
    with pytest.raises(SourceError, match=r"finds no USPS \(test\).*Fetch it with"):
        open_source(SourceSpec(data="usps", root=str(tmp_path), split="test"))


def test_a_torchvision_set_needs_its_root():
    with pytest.raises(SourceError, match="needs --root"):
        open_source(SourceSpec(data="CIFAR10"))


def test_channels_first_sets_are_turned(monkeypatch):
    from torchvision import datasets

    class SVHN:
        def __init__(self, root, split, download):
            assert (root, split, download) == ("somewhere", "train", False)
            self.data = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
            self.labels = np.array([9, 0])

    monkeypatch.setattr(datasets, "SVHN", SVHN)
    source = open_source(SourceSpec(data="SVHN", root="somewhere"))
    assert source.classes == 10
    np.testing.assert_array_equal(source.images(np.array([1]))[0, 2, 3], [73, 93, 113])


def test_a_function_may_have_no_test_split(module):
    name = module(
        "import numpy\ndef load(split):\n"
        "    if split == 'train':\n        return numpy.zeros((2, 4, 4), 'uint8'), [0, 1]\n"
    )
    spec = SourceSpec(data=f"{name}:load")
    assert splits(spec) == ("train",)
    assert open_source(spec).channels == 1
    with pytest.raises(SourceError, match="no split 'test'; it returned None"):
        open_source(spec.model_copy(update={"split": "test"}))


def test_a_function_may_return_a_source_of_its_own(module):
    name = module(
        "import numpy\n"
        "class Own:\n"
        "    spec, classes, class_names, channels = None, 2, ('a', 'b'), 3\n"
        "    def __len__(self): return 2\n"
        "    def images(self, samples): return numpy.zeros((len(samples), 4, 4, 3), 'uint8')\n"
        "    def labels(self): return numpy.array([0, 1])\n"
        "    def fingerprint(self): return 'own'\n"
        "def load(split): return Own()\n"
    )
    assert open_source(SourceSpec(data=f"{name}:load")).fingerprint() == "own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def load(split): return 5", r"returned int; expected \(images, labels\)"),
        ("def load(split): import nothing_of_this_name", r"could not import what it needs.*nothing_of_this_name"),
        (
            "def load(split):\n    return {}[split]",
            r"load\('train'\) fails: KeyError: 'train' \[own_\w+\.py, line 2\]\.",
        ),
        ("def load(): pass", r"fails: TypeError: load\(\) takes 0 positional arguments.* It is called with 'train' or"),
        ("import numpy\ndef load(split): return [numpy.zeros((2, 2)), [[1]]], [0, 1]", "images do not form one array"),
        (
            "def load(split): return [[[1]], [[2]]], [0, [1, 2]]",
            r"labels do not form one array \(.*one integer for each",
        ),
        ("def load(split): return [[0]], [0]", "images are int64; expected uint8"),
    ],
)
def test_a_function_that_gives_no_images_is_named(module, text, message):
    with pytest.raises(SourceError, match=message):
        open_source(SourceSpec(data=f"{module(text)}:load"))


def test_a_function_that_is_not_there_is_named(module):
    with pytest.raises(ConfigError, match="has no function 'load'"):
        open_source(SourceSpec(data=f"{module('x = 1')}:load"))
    with pytest.raises(ConfigError, match="does not import"):
        open_source(SourceSpec(data="no_such_module_here:load"))


def _by_class(images, labels):
    order = np.argsort(labels, kind="stable")
    return images[order], labels[order]


def _write_idx(folder, pictures):
    """The training and test pictures' first channel as torchvision expects MNIST."""
    folder.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = pictures[split]
        for part, array in (("images-idx3", images[..., 0]), ("labels-idx1", labels.astype(np.uint8))):
            header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
            content = header + array.tobytes()
            (folder / f"{prefix}-{part}-ubyte").write_bytes(content)
            (folder / f"{prefix}-{part}-ubyte.gz").write_bytes(gzip.compress(content))
