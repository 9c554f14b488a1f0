"""FKD's soft labels become a store whose pictures are FKD's own crops, on which a student trains."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from fkd_writer import CLASSES, CROPS, TEMPERATURE, draw_crops, file_of, label_of, save, write_images
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as v1

from cache_kd import open_store
from cache_kd.errors import (
    ConfigError,
    ModelError,
    SourceError,
    StoreDamaged,
    StoreIncomplete,
    StoreMismatch,
    UnprovenAlignment,
)
from cache_kd.exchange.export import export_store
from cache_kd.exchange.import_store import import_store
from cache_kd.foreign_fkd import FkdConfig, import_fkd
from cache_kd.merge import MergeConfig, merge
from cache_kd.rendering import Request
from cache_kd.repair import repair
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.store.reader import Reader
from cache_kd.store.removal import remove
from cache_kd.train import TrainConfig, train
from cache_kd.views import make_recipe

SAMPLES, SIZE = 64, 24
STUDENT = "resnet8x0.5"


@pytest.fixture(scope="session")
def album(images, tmp_path_factory):
    """Image files of two shapes in class folders, in the order of their samples."""
    source = open_source(SourceSpec(data=str(images)))
    pictures = source.images(np.arange(SAMPLES))[..., 0]
    shapes = [picture if number % 3 else picture[:, :20] for number, picture in enumerate(pictures)]
    return write_images(tmp_path_factory.mktemp("album") / "imagenet", shapes, source.labels()[:SAMPLES])


@pytest.fixture(scope="session")
def recorded(album):
    """Boxes, flips and the softmax at the temperature of every image, and the logits that it was made of."""
    generator = np.random.default_rng(7)
    crops = [draw_crops(generator, *picture_of(path).size[::-1]) for path in album]
    logits = generator.normal(0, 4, (SAMPLES, CROPS, CLASSES)).astype(np.float32)
    softmax = torch.from_numpy(logits / TEMPERATURE).softmax(2).numpy()
    return [(*boxes_and_flips, probabilities) for boxes_and_flips, probabilities in zip(crops, softmax, strict=True)]


@pytest.fixture(scope="session")
def soft_labels(album, recorded, tmp_path_factory):
    """The folder of the files, as the generator leaves them."""
    folder = tmp_path_factory.mktemp("soft") / "FKD"
    for path, (boxes, flips, softmax) in zip(album, recorded, strict=True):
        save(file_of(folder, path), boxes, flips, label_of(softmax, "marginal_smoothing_k5"))
    return folder


@pytest.fixture(scope="session")
def config(album, soft_labels):
    """A function that makes an FkdConfig for a path."""

    def make(store, **changes) -> FkdConfig:
        knobs = {
            "logits": soft_labels, "data": str(album[0].parents[2]), "teacher": "somebody's", "size": SIZE,
            "normalise": "cifar10", "temperature": TEMPERATURE, "codec": "float32", "store": store,
        }  # fmt: skip
        return FkdConfig(**(knobs | changes))

    return make


@pytest.fixture(scope="session")
def store(config, tmp_path_factory):
    """The store of all of it."""
    path = tmp_path_factory.mktemp("imported") / "store"
    import_fkd(config(path))
    return path


@pytest.fixture
def opened(store):
    """The same, opened."""
    with pytest.warns(UnprovenAlignment):
        return open_store(store)


def picture_of(path):
    with Image.open(path) as image:
        return image.convert("RGB")


def as_fkd_shows(path, box, flip):
    """The picture by torchvision's own functions, called with numbers that need not be whole, as FKD calls them."""
    image = picture_of(path)
    top, height = (share.item() * image.size[1] for share in (box[0], box[2]))
    left, width = (share.item() * image.size[0] for share in (box[1], box[3]))
    shown = v1.resized_crop(image, top, left, height, width, [SIZE, SIZE], InterpolationMode.BILINEAR)
    return np.asarray(v1.hflip(shown) if flip else shown)


def test_the_pictures_are_those_that_fkd_trains_on(opened, album, recorded):
    for view in range(CROPS):
        pixels = opened.rendering(Request("train", np.arange(SAMPLES), view)).pixels.numpy()
        expected = np.stack(
            [as_fkd_shows(path, box[view], flip[view]) for path, (box, flip, _) in zip(album, recorded, strict=True)]
        )
        # one call of Pillow may resize the other axis first, so single values differ by rounding
        assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_the_logits_are_the_softmax_of_the_files_beside_their_own_pictures(opened, recorded):
    seen = 0
    for epoch in range(CROPS):
        for _, labels, logits in opened.loader(epoch, batch_size=50, check="all"):
            assert len(labels) == len(logits)
            seen += len(labels)
        view = opened.reader.view("train", epoch).rows(np.arange(SAMPLES))
        again = torch.from_numpy(view / TEMPERATURE).softmax(1).numpy()
        softmax = np.stack([softmax[epoch] for _, _, softmax in recorded])
        kept = softmax >= np.sort(softmax, axis=1)[:, -5:-4]
        assert np.allclose(again[kept], softmax[kept], atol=1e-6)
        rest = (1 - np.where(kept, softmax, 0).sum(1)) / 5
        assert np.allclose(np.where(kept, rest[:, None], again), rest[:, None], atol=1e-6)
    assert seen == CROPS * SAMPLES


def test_the_manifest_says_what_the_logits_are_and_what_nobody_can_prove(opened):
    manifest = opened.manifest
    assert manifest.alignment == "unproven"
    assert manifest.teacher.fingerprint.startswith(
        "unknown, of FKD's soft labels at temperature 4, the top 5 of 10 probabilities with the rest spread evenly, "
    )
    assert manifest.recipe["name"] == "recorded"
    assert (manifest.recipe["size"], manifest.knobs) == (SIZE, 5)
    assert "--from torch|npy|fkd" in manifest.dump_command(opened.reader.path)


def test_an_import_that_stands_is_found_and_anything_else_is_another_store(config, store, tmp_path):
    assert import_fkd(config(store)).written_rows == 0
    for field, changes in (
        (r"teacher\.fingerprint", {"temperature": 1.0}),
        (r"recipe\.size", {"size": 32}),
        (r"recipe\.table", {"views": 2}),
    ):
        with pytest.raises(StoreMismatch, match=field):
            import_fkd(config(store, **changes))
    result = import_fkd(config(tmp_path / "two", views=2))
    assert (result.views, result.written_rows) == (2, 2 * SAMPLES)
    first = Reader.open(tmp_path / "two")
    assert np.array_equal(first.digests("train", 1), Reader.open(store).digests("train", 1))


def test_an_interrupted_import_goes_on_where_it_was(config, store, tmp_path, monkeypatch):
    monkeypatch.setattr("cache_kd.imported._digested", _stops_after(5))
    with pytest.raises(KeyboardInterrupt):
        import_fkd(config(tmp_path / "killed"))
    monkeypatch.undo()
    result = import_fkd(config(tmp_path / "killed"))
    assert 0 < result.written_rows < CROPS * SAMPLES
    rows, killed = (
        [Reader.open(path).view("train", view).rows(np.arange(SAMPLES)) for view in range(CROPS)]
        for path in (store, tmp_path / "killed")
    )
    assert np.array_equal(rows, killed)


def test_a_student_trains_from_it(store, tmp_path):
    knobs = {"student": STUDENT, "store": store, "method": "kd", "epochs": 1, "device": "cpu"}
    with pytest.warns(UnprovenAlignment):
        summary = train(TrainConfig(**knobs, out=tmp_path / "run"))
    assert summary["pixels"]["kind"] == "exact"


def test_what_travels_to_workers_finds_the_boxes_there(opened):
    request = Request("train", np.array([40, 3, 3]), 2)
    sent = pickle.dumps(opened.rendering)
    assert len(sent) < 20_000
    assert torch.equal(pickle.loads(sent)(request).pixels, opened.rendering(request).pixels)


def test_boxes_travel_with_an_export_and_with_a_mean(config, store, tmp_path):
    export_store(store, tmp_path / "out.h5")
    import_store(tmp_path / "out.h5", tmp_path / "again")
    files = [file.relative_to(store) for file in (store / "knobs").rglob("*") if file.is_file()]
    assert len(files) == 1 + CROPS
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (store / file).read_bytes()
    import_fkd(config(tmp_path / "other", temperature=1.0))
    merge(MergeConfig(members=(store, tmp_path / "other"), store=tmp_path / "mean"))
    with pytest.warns(UnprovenAlignment):
        mean = open_store(tmp_path / "mean")
    assert len(list(mean.loader(0, check="all"))) == 1


def test_boxes_that_are_not_those_of_the_import_are_never_shown(store, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    with pytest.warns(UnprovenAlignment):
        opened = open_store(own)
    file = own / "knobs" / "c" / "1" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"knobs of view 1: .*sha256.* import them again"):
        opened.rendering(Request("train", np.arange(3), 1))
    with pytest.raises(StoreDamaged, match="only the files that were imported have them"):
        repair(own, device="cpu")
    assert file.read_bytes() == content


def test_boxes_belong_to_the_store_and_go_with_it(store, tmp_path):
    own = shutil.copytree(store, tmp_path / "store")
    assert Reader.open(own).check(deep=True) == []
    (own / "done" / "knobs.2.json").unlink()
    with pytest.raises(StoreIncomplete, match="knobs of view 2"):
        Reader.open(own)
    assert remove(own).foreign == ()
    assert not own.exists()


def test_the_recipe_alone_shows_nothing(opened):
    bare = make_recipe(opened.manifest.recipe)
    with pytest.raises(ConfigError, match=r"there are none here\. Train from that store"):
        bare.view(opened.source, 0, np.arange(3), 0)


@pytest.fixture
def own_labels(soft_labels, tmp_path):
    """A copy of the folder that a test may change."""
    return shutil.copytree(soft_labels, tmp_path / "own")


def test_what_does_not_go_together_leaves_no_store(config, album, own_labels, recorded, tmp_path):
    first, last = file_of(own_labels, album[0]), file_of(own_labels, album[-1])
    boxes, flips, softmax = recorded[-1]
    labels = label_of(softmax, "marginal_smoothing_k5")
    for changed, words in (
        ((boxes[:2], flips[:2], labels[:2]), r"has 2 crop\(s\) of 5 .*has 3 crop\(s\) of 5"),
        ((boxes, flips, label_of(softmax, "marginal_smoothing_k10")), r"has 3 crop\(s\) of 10 .* one run"),
        ((np.float16(boxes), flips, np.float16(labels)), r"rounded to 0\.001; .* rounded to 1e-07"),
        ((boxes, flips, label_of(softmax, "hard")), "holds hard labels"),
    ):
        save(last, *changed)
        with pytest.raises(ModelError, match=words):
            import_fkd(config(tmp_path / "store", logits=own_labels))
    last.unlink()
    with pytest.raises(StoreMismatch, match=r"1 of 64 images have no file"):
        import_fkd(config(tmp_path / "store", logits=own_labels))
    shutil.copy(first, last)
    shutil.copy(first, first.with_name("stranger.tar"))
    with pytest.raises(StoreMismatch, match=r"1 files below .* of no training image, .*/stranger\.tar"):
        import_fkd(config(tmp_path / "store", logits=own_labels))
    with pytest.raises(ModelError, match=r"has 3 crops; 4 were asked for. Pass --views 3 or less"):
        import_fkd(config(tmp_path / "store", views=4))
    assert not (tmp_path / "store").exists()


def test_images_that_are_no_files_cannot_be_paired(config, images, tmp_path):
    with pytest.raises(SourceError, match="is no folder of image files"):
        import_fkd(config(tmp_path / "store", data=str(images)))


def _stops_after(shards):
    from cache_kd.imported import _digested

    def digested(*arguments):
        for number, each in enumerate(_digested(*arguments)):
            if number == shards:
                raise KeyboardInterrupt
            yield each

    return digested
