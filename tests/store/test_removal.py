"""What is deleted is the store's own, and nothing is while somebody uses it."""

import errno
import gc
import os
import pickle
import shutil
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest

from cache_kd.errors import StoreBusy, StoreDamaged, StoreError
from cache_kd.store.locks import Reading, is_being_written, writing
from cache_kd.store.removal import abandoned, remove, remove_abandoned, survey
from cache_kd.store.writer import Writer

DAY = 86_400.0


def age(path: Path, days: float) -> None:
    """Let every file of a store look as if it had been written `days` ago."""
    for file in path.rglob("*"):
        seconds = file.lstat().st_mtime - days * DAY
        os.utime(file, (seconds, seconds), follow_symlinks=False)


def test_a_store_goes_whole_and_nothing_beside_it(store):
    (store.parent / "thesis.tex").write_text("years of work")
    expected = survey(store)
    assert expected.written == 1
    assert expected.foreign == ()
    assert set(expected.files) <= set(remove(store).files)
    assert [entry.name for entry in store.parent.iterdir()] == ["thesis.tex"]


def test_files_of_others_stay_where_they_are(store, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "c" / "0").mkdir(parents=True)
    (elsewhere / "c" / "0" / "0").write_text("named like a shard, behind a link")
    shutil.rmtree(store / "view_digest")
    (store / "view_digest").symlink_to(elsewhere)
    (store / "logits" / "notes.txt").write_text("mine")
    (store / "logits" / "dense" / ".zarr.json.tmp").write_bytes(b"what a kill left")
    removed = remove(store)
    assert removed.foreign == ("logits/notes.txt", "view_digest")
    left = sorted(file.relative_to(store).as_posix() for file in store.rglob("*") if not file.is_dir())
    assert left == ["logits/notes.txt"]
    assert (store / "view_digest").is_symlink()
    assert (elsewhere / "c" / "0" / "0").exists()


def test_a_folder_that_is_no_store_is_refused(tmp_path, store):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(StoreError, match="is a folder, but not a store"):
        remove(tmp_path / "photos")
    with pytest.raises(StoreError, match="does not exist"):
        remove(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(store)
    with pytest.raises(StoreError, match="is a link to"):
        remove(tmp_path / "link")
    (store / "zarr.json").write_bytes(b"")
    with pytest.raises(StoreDamaged, match="manifest is damaged"):
        remove(store)
    assert (tmp_path / "photos" / "cat.jpg").exists()
    assert (store / "labels" / "c" / "0").exists()


def test_a_store_in_use_is_refused_and_only_readers_can_be_overruled(store):
    reading = Reading(store)
    with pytest.raises(StoreBusy, match=r"a process is reading this store.*--force"):
        remove(store)
    with writing(store), pytest.raises(StoreBusy, match="another process is writing"):
        remove(store, force=True)
    assert survey(store).written == 1
    del reading
    gc.collect()
    remove(store)
    assert not store.exists()


def test_force_removes_what_is_being_read(store):
    reading = Reading(store)
    remove(store, force=True)
    assert not store.exists()
    del reading


def test_a_copy_of_a_reader_holds_the_store_by_itself(store):
    reading = Reading(store)
    copy = pickle.loads(pickle.dumps(reading))
    del reading
    gc.collect()
    with pytest.raises(StoreBusy, match="is reading"):
        remove(store)
    del copy


def test_a_reader_that_was_killed_holds_nothing(store):
    context = get_context("forkserver")
    begun = context.Event()
    child = context.Process(target=_read_forever, args=(store, begun))
    child.start()
    assert begun.wait(60)
    with pytest.raises(StoreBusy, match="is reading"):
        remove(store)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    remove(store)
    assert not store.exists()


def test_a_removal_that_is_stopped_anywhere_can_be_finished(describe, write, tmp_path, monkeypatch):
    unlink, moment = Path.unlink, 0
    while True:
        path = tmp_path / str(moment)
        write(path, describe(train=16, test=None, views=1))
        left = [moment]

        def stopping(file, missing_ok=False, left=left):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            unlink(file, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", stopping)
        try:
            remove(path)
            break
        except KeyboardInterrupt:
            monkeypatch.undo()
        if (path / "zarr.json").exists():
            remove(path)
            assert not path.exists()
        else:  # all that may be left is the lock
            assert [entry.name for entry in path.iterdir()] == ["writing.lock"]
        moment += 1
    assert moment > 8


def test_only_old_unfinished_idle_dumps_are_abandoned(describe, write, tmp_path):
    for name in ("whole", "old", "new", "at-work", "damaged", "no-manifest"):
        write(tmp_path / name, describe(), at_most=2 if name in ("old", "new", "at-work") else None)
    for record in (tmp_path / "damaged" / "done").iterdir():
        record.unlink()  # every shard is still there
    (tmp_path / "no-manifest" / "zarr.json").write_bytes(b"")
    _begin(tmp_path / "begun", describe())
    for path in tmp_path.iterdir():
        if path.name != "new":
            age(path, days=8)
    with writing(tmp_path / "at-work"):
        assert is_being_written(tmp_path / "at-work")
        found = abandoned(tmp_path, older_than=7 * DAY)
    assert [one.path.name for one in found] == ["begun", "old"]
    assert [one.store_id for one in found] == [None, describe().store_id]
    assert 0 < found[1].written < 1
    assert 8 <= found[1].idle / DAY < 8.1
    assert len(abandoned(tmp_path, older_than=0.0)) == 4
    for one in found:
        remove(one.path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["at-work", "damaged", "new", "no-manifest", "whole"]


@pytest.mark.parametrize("shards", [1, None])
def test_what_somebody_went_on_with_since_it_was_listed_stays(describe, write, tmp_path, shards):
    write(tmp_path / "store", describe(), at_most=2)
    age(tmp_path / "store", days=8)
    (found,) = abandoned(tmp_path, older_than=7 * DAY)
    write(tmp_path / "store", describe(), at_most=shards)
    if shards is None:
        age(tmp_path / "store", days=8)  # finished, however long ago
    with pytest.raises(StoreBusy, match=r"was written to since it was listed; nothing of it was deleted\.$"):
        remove_abandoned(found, older_than=7 * DAY)
    assert survey(tmp_path / "store").written > found.written


def test_another_dump_in_the_place_of_an_abandoned_one_stays(describe, write, tmp_path):
    write(tmp_path / "store", describe(), at_most=2)
    (found,) = abandoned(tmp_path, older_than=0.0)
    remove(tmp_path / "store")
    write(tmp_path / "store", describe(seed=1), at_most=2)
    with pytest.raises(StoreBusy, match="since it was listed"):
        remove_abandoned(found, older_than=0.0)
    assert survey(tmp_path / "store").store_id == describe(seed=1).store_id


def test_a_lock_that_cannot_be_opened_keeps_its_store_and_no_other(describe, write, tmp_path):
    for name in ("locked", "old"):
        write(tmp_path / name, describe(), at_most=2)
    (tmp_path / "locked" / "writing.lock").unlink()
    (tmp_path / "locked" / "writing.lock").mkdir()
    assert [one.path.name for one in abandoned(tmp_path, older_than=0.0)] == ["old"]


def test_a_store_can_be_removed_from_within(store, monkeypatch):
    monkeypatch.chdir(store)
    remove(Path())
    assert not store.exists()


def test_an_empty_folder_that_has_to_stay_is_no_failure(store, monkeypatch):
    def is_mounted(folder):
        if folder == store.resolve():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))
        rmdir(folder)

    rmdir = Path.rmdir
    monkeypatch.setattr(Path, "rmdir", is_mounted)
    assert remove(store).foreign == ()
    assert list(store.iterdir()) == []


def test_a_mark_of_creation_beside_the_manifest_is_the_store_s(store):
    (store / "creating.json").write_text('{"store_id": "4f1c"}')  # what a kill leaves just after the manifest stands
    assert remove(store).foreign == ()
    assert not store.exists()


def test_what_only_began_is_removed_without_the_files_of_others(describe, tmp_path):
    _begin(tmp_path / "begun", describe())
    (tmp_path / "begun" / "logits" / "weights.pt").write_bytes(b"mine")
    (tmp_path / "begun" / "logits" / "zarr.json").rename(tmp_path / "begun" / "logits" / ".zarr.json.tmp")
    removed = remove(tmp_path / "begun")
    assert removed.foreign == ("logits/weights.pt",)
    assert (tmp_path / "begun" / "logits" / "weights.pt").exists()
    assert not (tmp_path / "begun" / "creating.json").exists()


def _begin(path, manifest):
    """What a kill leaves before the manifest stands."""
    Writer.create_or_resume(path, manifest).close()
    (path / "zarr.json").unlink()
    (path / "creating.json").write_text('{"store_id": "4f1c"}')


def _read_forever(path, begun):
    import time

    reading = Reading(path)
    begun.set()
    time.sleep(600)
    del reading
