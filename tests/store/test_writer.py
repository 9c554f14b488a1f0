import errno
import os
import shutil

import numpy as np
import pytest
import torch
import zarr

from cache_kd.errors import ModelError, StoreDamaged, StoreError, StoreIncomplete, StoreMismatch
from cache_kd.store.codec import codec_names
from cache_kd.store.fidelity import measure_fidelity
from cache_kd.store.folder import prune
from cache_kd.store.locks import writing
from cache_kd.store.manifest import read_manifest, root_file
from cache_kd.store.reader import Reader
from cache_kd.store.removal import abandoned, survey
from cache_kd.store.witness import witness_rows
from cache_kd.store.writer import Writer


class Crash(BaseException):
    """A process that is no more."""


@pytest.mark.parametrize("codec", codec_names())
@pytest.mark.parametrize("train", [1, 16, 100, 130])
def test_what_is_written_comes_back(describe, write, assert_right, tmp_path, codec, train):
    write(tmp_path / "store", describe(codec=codec, train=train))
    assert_right(tmp_path / "store")


def test_a_store_without_a_test_part(describe, write, assert_right, tmp_path):
    write(tmp_path / "store", describe(test=None))
    assert_right(tmp_path / "store")
    assert not (tmp_path / "store" / "test").exists()


def test_a_finished_store_is_a_hit_that_touches_nothing(store, describe, write, files_of):
    before = {file: file.stat().st_mtime_ns for file in store.rglob("*")}
    with Writer.create_or_resume(store, describe()) as writer:
        assert writer.complete
        assert writer.pending() == []
    assert write(store, describe()) == 0
    assert {file: file.stat().st_mtime_ns for file in store.rglob("*")} == before


def test_a_dump_goes_on_where_it_was(describe, write, files_of, assert_right, tmp_path):
    manifest = describe()
    whole = write(tmp_path / "whole", manifest)
    first = write(tmp_path / "parts", manifest, at_most=3)
    with pytest.raises(StoreIncomplete):
        Reader.open(tmp_path / "parts")
    assert first + write(tmp_path / "parts", manifest) == whole
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")
    assert_right(tmp_path / "parts")


def test_a_dump_that_stops_at_any_fsync_ends_with_the_same_bytes(describe, write, files_of, tmp_path, monkeypatch):
    manifest = describe(train=20, test=None, views=1)
    count = _stop_at(monkeypatch, None)
    write(tmp_path / "whole", manifest)
    expected = files_of(tmp_path / "whole")
    assert len(count) > 40  # the store, its arrays and its shards all wait for the disk
    for moment in range(len(count)):
        path = tmp_path / str(moment)
        _stop_at(monkeypatch, moment)
        with pytest.raises(Crash):
            write(path, manifest)
        _stop_at(monkeypatch, None)
        write(path, manifest)
        assert files_of(path) == expected, moment
        shutil.rmtree(path)


def test_growing_that_stops_at_any_fsync_ends_with_the_same_bytes(
    describe, write, files_of, assert_right, tmp_path, monkeypatch
):
    one = describe(train=20, test=None, views=1)
    two = one.model_copy(update={"parts": describe(train=20, test=None, views=2).parts})
    _stop_at(monkeypatch, None)
    write(tmp_path / "whole", two)
    expected = files_of(tmp_path / "whole")
    write(tmp_path / "one", one)
    shutil.copytree(tmp_path / "one", tmp_path / "grown")
    count = _stop_at(monkeypatch, None)
    assert write(tmp_path / "grown", two) == 2
    for moment in range(len(count)):
        path = shutil.copytree(tmp_path / "one", tmp_path / str(moment))
        _stop_at(monkeypatch, moment)
        with pytest.raises(Crash):
            write(path, two)
        _stop_at(monkeypatch, None)
        reader = Reader.open(path)  # what was there stays a whole store
        assert reader.view("train", 0).nbytes == 20 * 10 * 4
        assert write(path, one) == 0
        assert not abandoned(path.parent, older_than=0.0)
        assert set(survey(path).foreign) == set()
        write(path, two)
        assert files_of(path) == expected, moment
        shutil.rmtree(path)


def test_more_views_add_only_the_new_shards(store, describe, write, assert_right, files_of):
    before = {name: content for name, content in files_of(store).items() if "/c/" in name}
    assert write(store, describe(views=5)) == 3 * describe().parts["train"].layout.shards_per_view
    after = files_of(store)
    assert {name: after[name] for name in before} == before
    assert Reader.open(store).manifest.parts["train"].views == 5
    assert_right(store)


def test_fewer_views_than_stored_are_a_hit(store, describe):
    with Writer.create_or_resume(store, describe(views=1)) as writer:
        assert writer.complete
        assert writer.manifest.parts["train"].views == 2


def test_a_store_of_something_else_is_refused_with_both_sides(store, describe, files_of):
    before = files_of(store)
    asked = describe(seed=7, teacher={"fingerprint": "90ab"}, recipe={"name": "none"})
    with pytest.raises(StoreMismatch) as caught:
        Writer.create_or_resume(store, asked)
    sentence = str(caught.value)
    assert "seed: stored 0, asked for 7" in sentence
    assert 'teacher.fingerprint: stored "4f1c", asked for "90ab"' in sentence
    assert 'recipe.name: stored "cifar", asked for "none"' in sentence
    assert "recipe.pad: stored 4, asked for nothing" in sentence
    assert "Pass another --store" in sentence
    assert files_of(store) == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, describe):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"not a store and not empty \(it has thesis.tex\)"):
        Writer.create_or_resume(tmp_path, describe())
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        Writer.create_or_resume(tmp_path / "thesis.tex", describe())


def test_an_abandoned_beginning_of_another_store_is_no_obstacle(describe, write, files_of, tmp_path, monkeypatch):
    _stop_at(monkeypatch, 20)
    with pytest.raises(Crash):
        write(tmp_path / "store", describe(seed=5))
    assert (tmp_path / "store" / "creating.json").exists()
    _stop_at(monkeypatch, None)
    manifest = describe(test=None)
    write(tmp_path / "store", manifest)
    write(tmp_path / "whole", manifest)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


def test_files_that_somebody_put_into_an_abandoned_beginning_are_kept_and_named(
    describe, write, files_of, tmp_path, monkeypatch
):
    _stop_at(monkeypatch, 20)
    with pytest.raises(Crash):
        write(tmp_path, describe())
    _stop_at(monkeypatch, None)
    for name in ("test/cat/1.png", "labels/my.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = files_of(tmp_path)
    with pytest.raises(StoreError, match=r"it has labels/my.csv, test/cat/1.png\); nothing there was touched"):
        write(tmp_path, describe())
    assert files_of(tmp_path) == before
    for name in ("test/cat/1.png", "labels/my.csv"):
        (tmp_path / name).unlink()
    write(tmp_path, describe())


@pytest.mark.parametrize("mark", ["{}", '"store_id"', "[1]", ""])
def test_a_file_that_only_has_the_name_of_our_mark_makes_no_folder_ours(describe, write, files_of, tmp_path, mark):
    (tmp_path / "creating.json").write_text(mark)
    (tmp_path / "logits").mkdir()
    (tmp_path / "logits/zarr.json").write_text("mine")
    before = files_of(tmp_path)
    with pytest.raises(StoreError, match="not empty"):
        write(tmp_path, describe())
    assert files_of(tmp_path) == before


def test_a_link_to_a_folder_of_somebody_is_left_alone_by_a_dump_that_begins_again(describe, tmp_path, monkeypatch):
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    _stop_at(monkeypatch, 20)
    with pytest.raises(Crash):
        Writer.create_or_resume(tmp_path / "store", describe())
    _stop_at(monkeypatch, None)
    (tmp_path / "store" / "exact").symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match=r"not empty \(it has exact\)"):
        Writer.create_or_resume(tmp_path / "store", describe())
    prune(tmp_path / "store")
    assert (tmp_path / "mine" / "empty").exists()


def test_every_new_folder_on_the_way_to_a_store_is_brought_to_the_disk(describe, tmp_path, monkeypatch):
    synced = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    Writer.create_or_resume(tmp_path / "new" / "newer" / "store", describe()).close()
    assert {folder.stat().st_ino for folder in (tmp_path, tmp_path / "new", tmp_path / "new" / "newer")} <= synced


def test_a_second_dump_to_the_same_path_is_refused_while_the_first_writes(tmp_path, describe, write):
    first = Writer.create_or_resume(tmp_path / "store", describe())
    with first, pytest.raises(StoreError, match="another process is writing to this store"):
        Writer.create_or_resume(tmp_path / "store", describe())
    write(tmp_path / "store", describe())


@pytest.mark.parametrize("damage", ["delete", "truncate", "empty", "record"])
def test_resuming_redoes_what_is_not_as_recorded(store, describe, write, files_of, damage):
    before = files_of(store)
    shard = store / "logits/dense/c/1/0/0"
    if damage == "delete":
        shard.unlink()
    elif damage == "record":
        (store / "done/train.1.0.json").write_text("{}")
    else:
        shard.write_bytes(shard.read_bytes()[: 100 if damage == "truncate" else 0])
    with pytest.raises(StoreDamaged):
        Reader.open(store)
    assert write(store, describe()) == 1
    assert files_of(store) == before


def test_resuming_clears_what_a_kill_left_behind(describe, write, files_of, tmp_path):
    path = tmp_path / "store"
    write(path, describe(), at_most=2)
    (path / "logits/dense/.zarr.json.tmp").write_bytes(b"torn")
    (path / "done/.train.0.3.json.tmp").write_bytes(b"torn")
    (path / "mine").mkdir()
    (path / "mine/.draft.tmp").write_text("mine")
    write(path, describe())
    assert (path / "mine/.draft.tmp").read_text() == "mine"
    (path / "mine/.draft.tmp").unlink()
    write(tmp_path / "whole", describe())
    assert files_of(path).keys() == files_of(tmp_path / "whole").keys()


def test_metadata_that_was_lost_is_written_again_by_the_next_dump(store, describe, write, files_of):
    before = files_of(store)
    (store / "logits/dense/zarr.json").unlink()
    (store / "test/zarr.json").write_text("{")
    with pytest.raises(StoreDamaged, match=r"zarr\.json cannot be read"):
        Reader.open(store)
    write(store, describe())
    assert files_of(store) == before


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_leave_the_shard_unwritten(tmp_path, describe, write, teach, bad):
    with Writer.create_or_resume(tmp_path / "store", describe()) as writer:
        writer.write_labels("train", np.arange(64) % 10)
        shard = writer.pending()[1]
        logits, digests = teach(shard)
        logits[3, 2] = bad
        sample = writer.manifest.samples_of(shard)[3]
        with pytest.raises(ModelError, match=rf"train view 0, sample {sample}, class 2: "):
            writer.write(shard, logits, digests)
        assert shard in writer.pending()
    assert not (tmp_path / "store/done/train.0.1.json").exists()


def test_zeros_and_fill_values_are_written_like_any_number(tmp_path, describe):
    with Writer.create_or_resume(tmp_path / "store", describe(test=None)) as writer:
        for view in writer.pending_witnesses():
            writer.write_witnesses(view, np.zeros((witness_rows(writer.manifest, view), 4), np.uint8))
        writer.write_labels("train", np.full(64, -1))
        for shard in writer.pending():
            writer.write(shard, torch.zeros(shard.rows, 10), np.zeros(shard.rows, np.uint32))
        assert writer.complete
    reader = Reader.open(tmp_path / "store")
    assert (reader.view("train", 1).rows(np.arange(64)) == 0).all()
    assert (reader.digests("train", 1) == 0).all()
    assert (reader.labels("train") == -1).all()


def test_any_error_of_the_disk_becomes_one_sentence(tmp_path, describe, teach, monkeypatch):
    with Writer.create_or_resume(tmp_path / "store", describe()) as writer:
        writer.write_labels("train", np.arange(64) % 10)
        shard = writer.pending()[0]
        for code, words in [
            (errno.ENOSPC, r"disk is full .*about 0\.0 MB.*finished shards are kept"),
            (errno.EROFS, "cannot be written to"),
            (errno.EIO, "run the same command again"),
        ]:
            monkeypatch.setattr(os, "fsync", _failing(code))
            with pytest.raises(StoreError, match=words):
                writer.write(shard, *teach(shard))
            monkeypatch.undo()
            assert shard in writer.pending()
        writer.write(shard, *teach(shard))
        assert shard not in writer.pending()


def test_a_shard_may_be_written_again(store, describe, teach, files_of):
    before = files_of(store)
    (store / "done/test.0.0.json").unlink()
    with Writer.create_or_resume(store, describe()) as writer:
        [shard] = writer.pending()
        for _ in range(2):
            writer.write(shard, *teach(shard, samples=writer.manifest.samples_of(shard)))
    assert files_of(store) == before
    assert zarr.open_array(store, path="logits/dense", mode="r").shape == (2, 64, 10)


def _stop_at(monkeypatch, moment):
    """Every lasting effect ends in an fsync: count them, and stop at number `moment`."""
    count = []

    def fsync(handle):
        del handle
        if len(count) == moment:
            raise Crash
        count.append(None)

    monkeypatch.setattr(os, "fsync", fsync)
    return count


def _failing(code):
    def fsync(handle):
        del handle
        raise OSError(code, os.strerror(code))

    return fsync


def test_what_a_codec_costs_stands_in_the_manifest_once_there_are_rows_to_measure_it_on(
    tmp_path, describe, write, teach, files_of
):
    path, manifest = tmp_path / "store", describe(codec="uint8")
    write(path, manifest, at_most=0)
    assert read_manifest(path).fidelity is None
    write(path, manifest)
    stored = read_manifest(path)
    assert stored.exact_rows == 16
    exact, _ = teach(
        stored.parts["train"].layout.shards("train")[0], samples=stored.row_order("train").sample_of_row[:16]
    )
    reader = Reader.open(path)
    assert np.array_equal(reader.exact(), exact.numpy())
    decoded = torch.from_numpy(reader.view("train", 0).rows(stored.row_order("train").sample_of_row[:16]))
    assert stored.fidelity == measure_fidelity(exact, decoded)
    assert 0 < stored.fidelity.kl[1] < 1e-3
    assert stored.store_id == manifest.store_id


def test_a_dump_killed_before_it_noted_what_its_codec_costs_notes_it_next_time(tmp_path, describe, write, files_of):
    path, manifest = tmp_path / "store", describe(codec="uint8")
    write(path, manifest)
    before = files_of(path)
    noted = read_manifest(path)
    (path / "zarr.json").write_bytes(root_file(noted.model_copy(update={"fidelity": None})))
    assert write(path, manifest) == 0
    assert files_of(path) == before


@pytest.mark.parametrize("position", [3, -1])
@pytest.mark.parametrize("file", ["labels/c/0", "exact/c/0/0", "logits/dense/c/0/0/0"])
def test_a_flipped_byte_in_what_a_dump_goes_on_from_is_a_sentence_with_the_mend(
    tmp_path, describe, write, monkeypatch, file, position
):
    path, manifest = tmp_path / "store", describe(codec="float16")
    with monkeypatch.context() as killed:
        killed.setattr(Writer, "_note_fidelity", lambda writer: None)
        write(path, manifest, at_most=1)
    content = bytearray((path / file).read_bytes())
    content[position] ^= 1
    (path / file).write_bytes(content)
    with pytest.raises(StoreDamaged, match=rf"{file} has other bytes than were written.*kdcache repair"):
        write(path, manifest)
    with writing(path):
        pass


def test_a_lossless_store_keeps_no_exact_rows(store):
    assert read_manifest(store).exact_rows == 0
    assert not (store / "exact").exists()
    assert Reader.open(store).exact().shape == (0, 10)
