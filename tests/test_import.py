"""An exported store comes back byte for byte, whatever interrupts it; a file that is not whole never does."""

import json
import os
import random
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from cache_kd.dump import dump
from cache_kd.errors import KdCacheError, StoreDamaged, StoreError, StoreIncomplete, StoreMismatch
from cache_kd.exchange.export import export_store
from cache_kd.exchange.import_store import import_store
from cache_kd.store.codec import codec_names
from cache_kd.store.manifest import seal, unseal
from cache_kd.store.reader import Reader
from cache_kd.verify import verify


class Crash(BaseException):
    """A process that is no more."""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """A test that kills processes needs no fsync, only one that pulls the plug would."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="session")
def exported(stores, tmp_path_factory) -> Path:
    """The float16 store of two views as a file."""
    out = tmp_path_factory.mktemp("exported") / "store.h5"
    export_store(stores["float16"], out)
    return out


@pytest.fixture
def own_file(exported, tmp_path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copy(exported, tmp_path / "own.h5"))


@pytest.mark.parametrize("compression", ["gzip", "lzf", "none"])
def test_every_file_of_the_store_comes_back_byte_for_byte(stores, tmp_path, compression):
    export_store(stores["float16"], tmp_path / "out.h5", compression=compression)
    result = import_store(tmp_path / "out.h5", tmp_path / "store")
    assert contents(tmp_path / "store") == contents(stores["float16"])
    assert (result.views, result.samples, result.written_rows) == (2, 512, 2 * 512 + 128)
    assert result.store_id == Reader.open(stores["float16"]).manifest.store_id


@pytest.mark.parametrize("codec", codec_names())
def test_every_codec_comes_back(dump_config, tmp_path, codec):
    dump(dump_config(tmp_path / "store", codec=codec, views=1))
    export_store(tmp_path / "store", tmp_path / "out.h5")
    import_store(tmp_path / "out.h5", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "store")


def test_a_store_without_test_images_and_of_many_views_comes_back(dump_config, images, tmp_path):
    with h5py.File(images) as source, h5py.File(tmp_path / "train.h5", "w") as target:
        for name in ("images", "labels"):
            target[f"train/{name}"] = source[f"train/{name}"][:40]
        target.attrs["classes"] = source.attrs["classes"]
    dump(dump_config(tmp_path / "store", data=str(tmp_path / "train.h5"), views=18))
    export_store(tmp_path / "store", tmp_path / "out.h5")
    import_store(tmp_path / "out.h5", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "store")


def test_the_teacher_confirms_what_was_imported(exported, tmp_path):
    import_store(exported, tmp_path / "store")
    assert verify(tmp_path / "store", rows=20, deep=True, device="cpu").holds


def test_importing_again_changes_nothing(exported, tmp_path):
    import_store(exported, tmp_path / "store")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")}
    assert import_store(exported, tmp_path / "store").written_rows == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")} == before


def test_an_import_that_stops_at_any_moment_is_no_store_until_it_is_repeated(exported, stores, tmp_path, monkeypatch):
    expected = contents(stores["float16"])
    moments = stop_at(monkeypatch, None)
    import_store(exported, tmp_path / "whole")
    count = len(moments)
    assert count > 60
    for moment in random.Random(0).sample(range(count), 12):
        path = tmp_path / str(moment)
        stop_at(monkeypatch, moment)
        with pytest.raises(Crash):
            import_store(exported, path)
        with pytest.raises(StoreError):
            Reader.open(path)
        stop_at(monkeypatch, None)
        import_store(exported, path)
        assert contents(path) == expected


def test_damaged_shards_of_a_store_are_mended_from_its_export(exported, own_store):
    expected = contents(own_store)
    (own_store / "logits/dense/c/1/0/0").unlink()
    (own_store / "view_digest/c/0/1").write_bytes(b"")
    assert (
        import_store(exported, own_store).written_rows
        == 2 * Reader.open(own_store, partial=True).manifest.parts["train"].shard_rows
    )
    assert contents(own_store) == expected


def test_a_store_of_fewer_views_gets_the_others(exported, stores, dump_config, tmp_path):
    dump(dump_config(tmp_path / "store", codec="float16", views=1))
    assert import_store(exported, tmp_path / "store").written_rows == 512
    arrays = {name: content for name, content in contents(stores["float16"]).items() if "/c/" in name}
    assert arrays.items() <= contents(tmp_path / "store").items()
    Reader.open(tmp_path / "store")


def test_a_store_of_more_views_keeps_them_and_gets_what_it_lost_of_these(exported, dump_config, tmp_path):
    dump(dump_config(tmp_path / "store", codec="float16", views=3))
    expected = contents(tmp_path / "store")
    (tmp_path / "store/logits/dense/c/0/0/0").unlink()
    (tmp_path / "store/logits/dense/c/2/0/0").unlink()
    import_store(exported, tmp_path / "store")
    with pytest.raises(StoreIncomplete, match="lacks 1 of"):
        Reader.open(tmp_path / "store")
    found = contents(tmp_path / "store")
    lost = {"logits/dense/c/2/0/0", "view_digest/c/2/0", "done/train.2.0.json"}
    assert found == {name: content for name, content in expected.items() if name not in lost}


def test_a_store_of_the_same_id_but_other_pixels_takes_no_rows(exported, dump_config, tmp_path, monkeypatch):
    from cache_kd.views.cifar import Cifar

    original = Cifar.render
    with monkeypatch.context() as patch:
        patch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
        dump(dump_config(tmp_path / "store", codec="float16", views=1))
    before = contents(tmp_path / "store")
    with pytest.raises(StoreMismatch, match="the witnesses of view 0 differ"):
        import_store(exported, tmp_path / "store")
    assert contents(tmp_path / "store") == before


def test_another_store_and_a_folder_of_something_else_are_refused(exported, stores, tmp_path):
    with pytest.raises(StoreMismatch, match=r"codec.name: stored .float32., asked for .float16."):
        import_store(exported, stores["float32"])
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="not a store and not empty"):
        import_store(exported, tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is not a file"), (b"no HDF5 at all", r"cannot be read as HDF5"), (b"", r"\(0 bytes\) cannot be read")],
)
def test_what_is_no_hdf5_is_one_sentence(tmp_path, content, words):
    if content is not None:
        (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(StoreError, match=words):
        import_store(tmp_path / "x.h5", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_hdf5_of_something_else_and_newer_exports_are_refused(images, own_file, tmp_path):
    with pytest.raises(StoreError, match="is HDF5, but not an exported store"):
        import_store(images, tmp_path / "store")
    with h5py.File(own_file, "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(StoreError, match="export of version 2; this release reads version 1"):
        import_store(own_file, tmp_path / "store")
    with h5py.File(own_file, "r+") as file:
        file.attrs["version"] = 1
        rewrite(file, "manifest", reworded(file, version=99))
    with pytest.raises(StoreError, match="store of version 99; this release reads versions 2 to 3"):
        import_store(own_file, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("text", [b"[]", b"{}", b"null", b"\xff", b"{", b"9" * 5000, b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(own_file, tmp_path, text):
    with h5py.File(own_file, "r+") as file:
        rewrite(file, "manifest", np.array(text, h5py.string_dtype("utf-8", len(text))))
    with pytest.raises(StoreDamaged, match="'manifest'"):
        import_store(own_file, tmp_path / "store")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("format", [b"a", b"b"], "not an exported store"),
        ("format", 3, "not an exported store"),
        ("version", [1, 2], r"version \[1 2\]"),
        ("version", "1", "this release reads version 1"),
    ],
)
def test_attributes_of_another_kind_are_refused(own_file, tmp_path, name, value, words):
    with h5py.File(own_file, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(StoreError, match=words):
        import_store(own_file, tmp_path / "store")


def test_a_manifest_in_other_words_is_refused(own_file, tmp_path):
    with h5py.File(own_file, "r+") as file:
        rewrite(file, "manifest", reworded(file, seed=7))
    with pytest.raises(StoreDamaged, match="'manifest': its digest does not match its content"):
        import_store(own_file, tmp_path / "store")


@pytest.mark.parametrize("name", ["logits/dense", "view_digest", "labels", "test/logits/dense", "witness/1"])
def test_a_changed_number_is_named_and_leaves_no_store(own_file, tmp_path, name):
    with h5py.File(own_file, "r+") as file:
        last = tuple(length - 1 for length in file[name].shape)
        file[name][last] = file[name][last] + 1
    with pytest.raises(StoreDamaged, match=rf"{name}'.* has other numbers than were exported"):
        import_store(own_file, tmp_path / "store")
    with pytest.raises(StoreIncomplete):
        Reader.open(tmp_path / "store")


@pytest.mark.parametrize("name", ["manifest", "logits", "test/labels", "witness/0", "sha256/view_digest"])
def test_nothing_may_be_missing(own_file, tmp_path, name):
    with h5py.File(own_file, "r+") as file:
        del file[name]
    with pytest.raises(StoreDamaged, match=f"it has no '{name}"):
        import_store(own_file, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_array_of_another_shape_type_or_cut_is_refused_before_it_is_read(own_file, tmp_path):
    with h5py.File(own_file) as file:
        labels, dense = file["labels"][:], file["logits/dense"][:]
    for name, changed, knobs in (
        ("labels", labels[:-1], {}),
        ("labels", labels.astype(np.int32), {}),
        ("logits/dense", dense.astype(np.float32), {"chunks": (1, 16, 10)}),
        ("logits/dense", dense, {"chunks": (2, 512, 10)}),
    ):
        file = Path(shutil.copy(own_file, tmp_path / "changed.h5"))
        with h5py.File(file, "r+") as opened:
            rewrite(opened, name, changed, **knobs)
        with pytest.raises(StoreDamaged, match=f"'/{name}' is .* its manifest says"):
            import_store(file, tmp_path / "store")


def test_links_and_storage_outside_the_file_are_not_followed(own_file, exported, tmp_path):
    with h5py.File(own_file) as file:
        labels = file["labels"][:]
    (tmp_path / "raw").write_bytes(labels.tobytes())
    layout = h5py.VirtualLayout(shape=labels.shape, dtype=labels.dtype)
    layout[:] = h5py.VirtualSource(str(exported), "labels", shape=labels.shape)

    def external_link(file):
        file["labels"] = h5py.ExternalLink(str(exported), "labels")

    def soft_link(file):
        file["labels"] = h5py.SoftLink("/test/labels")

    def external_storage(file):
        file.create_dataset("labels", labels.shape, labels.dtype, external=[(str(tmp_path / "raw"), 0, labels.nbytes)])

    def virtual(file):
        file.create_virtual_dataset("labels", layout)

    def objects(file):
        file.create_dataset("labels", labels.shape, h5py.string_dtype())

    for make, words in (
        (external_link, "no 'labels' of its own"),
        (soft_link, "no 'labels' of its own"),
        (external_storage, "lies in another file"),
        (virtual, "lies in another file"),
        (objects, "has type object"),
    ):
        changed = Path(shutil.copy(own_file, tmp_path / f"{make.__name__}.h5"))
        with h5py.File(changed, "r+") as file:
            del file["labels"]
            make(file)
        with pytest.raises(StoreDamaged, match=words):
            import_store(changed, tmp_path / "store")


def test_a_small_file_that_claims_many_bytes_is_refused_before_memory_is_asked_for(own_file, tmp_path):
    with h5py.File(own_file, "r+") as file:
        del file["witness/0"]
        file.create_dataset("witness/0", (32, 2**20, 2**20, 3), np.uint8, chunks=(1, 64, 64, 3), compression="gzip")
    with pytest.raises(StoreDamaged, match="'witness/0' claims 105,553,116,266,496 bytes and holds 0"):
        import_store(own_file, tmp_path / "store")


def test_a_file_whose_parts_lead_out_of_the_store_writes_nothing(own_file, tmp_path):
    with h5py.File(own_file, "a") as file:
        manifest = unseal(json.loads(file["manifest"][()]), own_file)
        parts = {"train": manifest.parts["train"], "../../evil": manifest.parts["test"]}
        rewrite(file, "manifest", reworded(file, **seal(manifest.model_copy(update={"parts": parts}))))
    with pytest.raises(StoreDamaged, match=r"a part is called '\.\./\.\./evil'"):
        import_store(own_file, tmp_path / "deep" / "below" / "store")
    assert [entry.name for entry in tmp_path.iterdir()] == ["own.h5"]


def test_no_damage_to_the_file_gives_another_store(exported, stores, tmp_path):
    expected, content = contents(stores["float16"]), exported.read_bytes()
    draw = random.Random(0)
    refused = 0
    for number in range(40):
        damaged, place = bytearray(content), draw.randrange(len(content))
        if number % 6 == 0:
            del damaged[place:]
        elif number % 6 == 1:
            damaged[place : place + 512] = bytes(min(512, len(content) - place))
        else:
            damaged[place] ^= 1 << draw.randrange(8)
        (tmp_path / "damaged.h5").write_bytes(damaged)
        try:
            import_store(tmp_path / "damaged.h5", tmp_path / "store")
        except KdCacheError as fault:
            assert str(tmp_path / "damaged.h5") in str(fault)  # noqa: PT017 - either outcome is right
            refused += 1
            if (tmp_path / "store").exists():
                with pytest.raises(StoreError):
                    Reader.open(tmp_path / "store")
        else:
            assert contents(tmp_path / "store") == expected  # what no dataset uses was hit
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
    assert refused > 25


def contents(store):
    """Every file of a store, but for the lock: place -> bytes."""
    files = (file for file in store.rglob("*") if file.is_file() and file.name != "writing.lock")
    return {file.relative_to(store).as_posix(): file.read_bytes() for file in files}


def stop_at(monkeypatch, moment):
    """Every lasting effect ends in an fsync: count them, and stop at number `moment`."""
    count = []

    def fsync(handle):
        del handle
        if len(count) == moment:
            raise Crash
        count.append(None)

    monkeypatch.setattr(os, "fsync", fsync)
    return count


def reworded(file, **changes):
    """The manifest's text with other values."""
    text = json.dumps(json.loads(file["manifest"][()]) | changes).encode()
    return np.array(text, h5py.string_dtype("utf-8", len(text)))


def rewrite(file, name, data, **knobs):
    del file[name]
    file.create_dataset(name, data=data, **knobs)
