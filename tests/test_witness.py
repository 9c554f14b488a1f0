"""Whatever way pictures come out otherwise, the verdict is right: a rounding passes, another picture does not."""

import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from cache_kd.dump import dump
from cache_kd.errors import OtherEnvironment, PixelDrift, PixelMismatch
from cache_kd.opened import open_store
from cache_kd.rendering import Rendering
from cache_kd.sources.arrays import ArraySource
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.store.reader import Reader
from cache_kd.views.cifar import Cifar
from cache_kd.witness import judge, witness_samples


@pytest.fixture(scope="module")
def rrc_store(dump_config, tmp_path_factory) -> Path:
    """One view of random resized crops of 16 pixels."""
    path = tmp_path_factory.mktemp("rrc") / "store"
    dump(dump_config(path, recipe={"name": "rrc", "size": 16}, views=1))
    return path


def verdict(store: Path, *, images: Path | None = None, seed: int | None = None):
    """What `judge` says of the store, with other images or another seed than its own."""
    opened = open_store(store)
    source = open_source(SourceSpec(data=str(images))) if images else opened.source
    seed = opened.manifest.seed if seed is None else seed
    return judge(opened.reader, Rendering(sources={"train": source}, recipe=opened.recipe, seed=seed))


def rearranged(images: Path, path: Path, order: np.ndarray) -> Path:
    """The images in another order; nobody has compared their fingerprint yet."""
    shutil.copy(images, path)
    with h5py.File(path, "r+") as file:
        file["train/images"][:] = file["train/images"][:][order]
    return path


def change_rendering(monkeypatch, change):
    """Let every view of the recipe cifar pass through `change`."""
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: change(original(self, pictures, knobs).copy()))


# ---- which rows


def test_witnesses_are_keyed_by_seed_and_view_and_nothing_else(stores):
    manifest = Reader.open(stores["float16"]).manifest
    first = witness_samples(manifest, 0)
    assert first[:6].tolist() == [11, 19, 35, 63, 64, 66]
    assert len(first) == 32
    assert len(witness_samples(manifest, 1)) == 2
    part = manifest.parts["train"]
    grown = manifest.model_copy(update={"parts": {"train": part.model_copy(update={"views": 9})}})
    for view in (0, 1):
        assert witness_samples(grown, view).tolist() == witness_samples(manifest, view).tolist()
    assert witness_samples(manifest.model_copy(update={"seed": 1}), 0).tolist() != first.tolist()


@pytest.mark.parametrize("samples", [1, 2, 31, 32, 33, 40, 10**9])
def test_witnesses_are_distinct_and_sorted(stores, samples):
    manifest = Reader.open(stores["float16"]).manifest
    part = manifest.parts["train"].model_copy(update={"samples": samples})
    manifest = manifest.model_copy(update={"parts": {"train": part}})
    chosen = witness_samples(manifest, 0)
    assert len(chosen) == min(32, samples)
    assert (np.diff(chosen) > 0).all()
    assert 0 <= chosen[0] <= chosen[-1] < samples


def test_every_sample_is_as_likely_a_witness(stores):
    """32 of 40 rows under 1,000 seeds: each row 800 times, the standard deviation of that is 12.6."""
    manifest = Reader.open(stores["float16"]).manifest
    part = manifest.parts["train"].model_copy(update={"samples": 40})
    counts = np.zeros(40)
    for seed in range(1000):
        counts[witness_samples(manifest.model_copy(update={"parts": {"train": part}, "seed": seed}), 0)] += 1
    assert np.abs(counts - 800).max() < 4.5 * 12.6


# ---- the same, or a rounding away


def test_the_same_code_over_the_same_images_is_exact(stores, rrc_store):
    found = verdict(stores["float16"])
    assert (found.kind, found.rows, found.mean_difference, found.changed) == ("exact", 34, 0.0, ())
    assert str(found) == "all 34 witness rows are equal"
    assert verdict(rrc_store).kind == "exact"


def test_one_value_one_off_is_drift_and_names_its_row(stores, monkeypatch):
    def nudge(views):
        if len(views) == 32:
            views[7, 3, 4, 0] ^= 1
        return views

    change_rendering(monkeypatch, nudge)
    found = verdict(stores["float16"])
    assert (found.kind, found.differing) == ("drift", 1)
    assert (found.sample, found.view) == (witness_samples(Reader.open(stores["float16"]).manifest, 0)[7], 0)
    assert found.largest_difference == pytest.approx(1 / 784)
    assert f"the furthest, sample {found.sample} in view 0, is 0.00128 of 255 off" in str(found)


def test_an_eighth_of_all_values_one_off_is_drift(stores, monkeypatch):
    """What processors without AVX make of a resize: 12 % of the values."""
    draw = np.random.default_rng(0)
    change_rendering(monkeypatch, lambda views: views ^ (draw.random(views.shape) < 0.12))
    found = verdict(stores["float16"])
    assert (found.kind, found.differing) == ("drift", 34)
    assert found.mean_difference == pytest.approx(0.12, abs=0.01)


def test_a_resize_in_one_call_is_drift(rrc_store, monkeypatch):
    """The call whose result Pillow 13 changed: the recipe's first call, for the width, is left out."""
    original = Image.Image.resize

    def resize(self, size, resample):
        if self.info.get("called"):
            return original(self, size, resample)
        waiting = self.copy()
        waiting.info["called"] = True
        return waiting

    monkeypatch.setattr(Image.Image, "resize", resize)
    found = verdict(rrc_store)
    assert found.kind == "drift"
    assert 0 < found.largest_difference < 0.3


def test_a_drift_warns_once_for_an_opened_store(stores, monkeypatch):
    change_rendering(monkeypatch, lambda views: views ^ 1)
    store = open_store(stores["float16"])
    with pytest.warns(PixelDrift, match=r"harmless.*nothing is compared from now on") as caught:
        batches = [list(store.loader(epoch, batch_size=256, check="all")) for epoch in range(3)]
    assert len(caught) == 1
    assert [len(of_epoch) for of_epoch in batches] == [2, 2, 2]


def test_changed_libraries_and_changed_code_are_named(own_store, monkeypatch):
    change_rendering(monkeypatch, lambda views: views ^ 1)
    monkeypatch.setattr(Cifar, "changed", lambda self: "the code of my.module:crop")
    monkeypatch.setattr("cache_kd.witness.describe_environment", lambda device: {"pillow": "99.0", "zarr": "99"})
    with pytest.warns(OtherEnvironment):
        found = verdict(own_store)
    stored = Reader.open(own_store).manifest.environment["pillow"]
    assert found.changed == (f"pillow 99.0 here, {stored} at the dump", "the code of my.module:crop")
    assert "Changed since the dump: pillow" in str(found)


# ---- another picture


def test_a_crop_off_by_one_pixel_is_misalignment(stores, monkeypatch):
    original = Cifar.draw

    def draw(self, words, sizes):
        return np.minimum(original(self, words, sizes) + np.array([1, 0, 0]), [8, 8, 1])

    monkeypatch.setattr(Cifar, "draw", draw)
    with pytest.raises(PixelMismatch, match=r"more than 1\.0.* sample \d+ in view [01], is [\d.]+ of 255 off"):
        verdict(stores["float16"])


def test_another_seed_is_misalignment(stores):
    with pytest.raises(PixelMismatch, match="witness rows differ"):
        verdict(stores["float16"], seed=1)


def test_another_order_of_the_images_is_misalignment(stores, images, tmp_path):
    with pytest.raises(PixelMismatch, match=r"34 of 34 witness rows differ"):
        verdict(stores["float16"], images=rearranged(images, tmp_path / "other.h5", np.arange(512)[::-1]))


def test_a_witness_that_changed_places_is_named(stores, images, tmp_path):
    sample = witness_samples(Reader.open(stores["float16"]).manifest, 0)[5]
    order = np.arange(512)
    order[[sample, 500]] = order[[500, sample]]
    with pytest.raises(PixelMismatch, match=rf"1 of 34 .* sample {sample} in view 0, is"):
        verdict(stores["float16"], images=rearranged(images, tmp_path / "other.h5", order))


def test_two_other_rows_that_changed_places_are_caught_by_their_digests(stores, images, tmp_path, monkeypatch):
    manifest = Reader.open(stores["float16"]).manifest
    witnesses = np.union1d(witness_samples(manifest, 0), witness_samples(manifest, 1))
    pair = np.setdiff1d(np.arange(512), witnesses)[[3, 90]]
    order = np.arange(512)
    order[pair] = order[pair[::-1]]
    # past the fingerprint, which would notice first
    fingerprint = manifest.parts["train"].fingerprint
    monkeypatch.setattr(ArraySource, "fingerprint", lambda self: fingerprint)
    store = open_store(stores["float16"], data=str(rearranged(images, tmp_path / "other.h5", order)))
    assert store.verdict.kind == "exact"
    with pytest.raises(PixelMismatch, match=rf"Sample ({pair[0]}|{pair[1]}), view 0"):
        list(store.loader(0, check="all"))


def test_another_size_is_misalignment(stores, monkeypatch):
    change_rendering(monkeypatch, lambda views: views[:, 2:])
    with pytest.raises(PixelMismatch, match="has 26x28x1 pixels here, 28x28x1 there"):
        verdict(stores["float16"])


def test_off_renders_no_witness(stores, monkeypatch):
    change_rendering(monkeypatch, lambda views: views ^ 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(open_store(stores["float16"]).loader(0, batch_size=512, check="off"))) == 1
