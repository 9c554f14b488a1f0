"""Stores damaged in every way, and mended to the bytes that they had."""

import errno
import random
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from cache_kd.errors import ModelError, StoreBusy, StoreDamaged, StoreError, StoreMismatch
from cache_kd.repair import repair
from cache_kd.store.folder import grow
from cache_kd.store.locks import writing
from cache_kd.store.manifest import read_manifest
from cache_kd.store.reader import Reader
from cache_kd.verify import verify
from cache_kd.views.cifar import Cifar


def files_of(store: Path) -> dict[str, bytes]:
    files = (file for file in store.rglob("*") if file.is_file() and file.name != "writing.lock")
    return {file.relative_to(store).as_posix(): file.read_bytes() for file in files}


def arrays_of(files: dict[str, bytes]) -> dict[str, bytes]:
    """What holds rows; a flip may have hit a space between two words of a JSON, which is no damage."""
    return {name: content for name, content in files.items() if "/c/" in name or name.endswith(".npy")}


def flip(file: Path, position: int = -1) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def damage(file: Path, draw: random.Random) -> None:
    """One of the ways in which files go wrong."""
    content = file.read_bytes()
    how = draw.choice(["gone", "empty", "torn", "flipped", "zeroed", "longer"])
    if how == "gone":
        file.unlink()
    elif how == "flipped":
        flip(file, draw.randrange(len(content)))
    else:
        torn = content[: draw.randrange(1, len(content))]
        file.write_bytes({"empty": b"", "torn": torn, "zeroed": bytes(len(content)), "longer": content + b"\0"}[how])


def kind_of(name: str) -> str:
    """What a file is: names of shards, views and parts make no difference."""
    if name.startswith("done/"):
        return "record of " + ("labels" if "labels" in name else "witnesses" if "witness" in name else "a shard")
    return name.split("/c/")[0].removeprefix("test/") if "/c/" in name else Path(name).name


@pytest.mark.parametrize(("codec", "seed"), [("float32", 0), ("float16", 1)])
def test_any_damage_to_every_kind_of_file_is_mended_to_the_very_bytes(stores, tmp_path, codec, seed):
    store = Path(shutil.copytree(stores[codec], tmp_path / "store"))
    whole, draw = files_of(store), random.Random(seed)
    kinds: dict[str, list[str]] = {}
    for name in sorted(whole):
        kinds.setdefault(kind_of(name), []).append(name)
    # four arrays, three kinds of record, witnesses of two views, metadata; exact rows of what is not exact
    assert len(kinds) == (10 if codec == "float32" else 11)
    for names in kinds.values():
        some = [name for name in names if name != "zarr.json"]  # but for the manifest
        for name in draw.sample(some, min(2, len(some))):
            damage(store / name, draw)
    result = repair(store, device="cpu")
    assert 0 < result.rows < 512 * 2 + 128
    assert arrays_of(files_of(store)) == arrays_of(whole)
    assert Reader.open(store).check(deep=True) == []


def test_only_what_is_damaged_is_redone_and_its_record_proves_the_bytes(own_store):
    whole = files_of(own_store)
    flip(own_store / "logits/dense/c/0/1/0")
    flip(own_store / "test/labels/c/0")
    (own_store / "logits/zarr.json").write_text("{}")
    untouched = own_store / "logits/dense/c/1/0/0"
    before = untouched.stat().st_mtime_ns
    result = repair(own_store, device="cpu")
    assert result.pieces == result.same == ("train view 0, rows 128 to 255", "test labels")
    assert result.metadata == ("logits/zarr.json",)
    assert result.rows == 128
    assert untouched.stat().st_mtime_ns == before
    assert files_of(own_store) == whole


def test_a_whole_store_is_left_alone(own_store):
    before = {file: file.stat().st_mtime_ns for file in own_store.rglob("*")}
    result = repair(own_store, device="cpu")
    assert (result.pieces, result.metadata, result.foreign) == ((), (), ())
    assert {file: file.stat().st_mtime_ns for file in own_store.rglob("*")} == before


def test_a_dry_run_names_everything_and_touches_nothing(own_store):
    flip(own_store / "witness/0.npy")
    (own_store / "done/train.0.0.json").unlink()
    (own_store / "notes.txt").write_text("mine")
    before = {file: file.stat().st_mtime_ns for file in own_store.rglob("*")}
    result = repair(own_store, device="cpu", dry_run=True)
    assert result.pieces == ("witnesses of view 0", "train view 0, rows 0 to 127")
    assert result.foreign == ("notes.txt",)
    assert {file: file.stat().st_mtime_ns for file in own_store.rglob("*")} == before


def test_foreign_files_stay_unless_they_are_to_go(own_store, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.tex").write_text("years of work")
    (own_store / "linked").symlink_to(elsewhere)
    (own_store / "notes.txt").write_text("mine")
    assert repair(own_store, device="cpu").foreign == ("linked", "notes.txt")
    assert (own_store / "notes.txt").exists()
    assert repair(own_store, device="cpu", remove_foreign=True).removed
    assert Reader.open(own_store).check() == []
    assert (elsewhere / "thesis.tex").read_text() == "years of work"


def test_rows_behind_a_link_in_place_of_a_folder_are_no_foreign_files(own_store, tmp_path):
    (own_store / "notes.txt").write_text("mine")
    (own_store / "logits").rename(tmp_path / "bigger_disk")
    (own_store / "logits").symlink_to("../bigger_disk")
    rows = files_of(tmp_path / "bigger_disk")
    found = verify(own_store, deep=True)
    assert f"{own_store}/logits is no file of this store, but a link makes it hold some" in found.faults
    assert any(f"keep {own_store}/logits" in mend for mend in found.mends)
    result = repair(own_store, device="cpu", remove_foreign=True)
    assert (result.linked, result.foreign) == (("logits",), ("notes.txt",))
    assert files_of(tmp_path / "bigger_disk") == rows
    Reader.open(own_store).view("train", 0)


def test_what_a_link_in_place_of_a_file_leads_to_is_not_foreign(own_store):
    shard = own_store / "logits/dense/c/0/0/0"
    shard.rename(own_store / "moved")
    (own_store / "on_the_way").symlink_to("moved")
    shard.symlink_to("../../../../../on_the_way")
    (own_store / "beside").symlink_to("nowhere")
    assert not any("does not belong" in fault and "moved" in fault for fault in verify(own_store).faults)
    result = repair(own_store, device="cpu", remove_foreign=True)
    assert (result.linked, result.foreign) == (("moved", "on_the_way"), ("beside",))
    Reader.open(own_store).view("train", 0)


def test_a_store_that_is_not_whole_afterwards_is_not_called_so(own_store, monkeypatch):
    (own_store / "notes.txt").write_text("mine")
    original = Path.unlink

    def takes_a_shard_along(file, missing_ok=False):
        original(file, missing_ok)
        original(own_store / "logits/dense/c/0/0/0", missing_ok=True)

    monkeypatch.setattr(Path, "unlink", takes_a_shard_along)
    with pytest.raises(StoreDamaged, match=r"still damaged after its repair: .*c/0/0/0 is missing"):
        repair(own_store, device="cpu", remove_foreign=True)


def test_a_record_that_is_a_link_to_itself_is_no_record_and_is_mended(own_store):
    whole = files_of(own_store)
    record = own_store / "done/train.0.1.json"
    record.unlink()
    record.symlink_to(record.name)
    result = repair(own_store, device="cpu")
    assert (result.pieces, result.rows) == (("train view 0, rows 128 to 255",), 128)
    assert files_of(own_store) == whole


def test_foreign_files_stay_while_another_process_writes(own_store):
    (own_store / "notes.txt").write_text("mine")
    with writing(own_store), pytest.raises(StoreBusy, match="another process is writing"):
        repair(own_store, device="cpu", remove_foreign=True)
    assert (own_store / "notes.txt").exists()


def test_what_a_dump_that_began_after_the_look_wrote_is_not_foreign(own_store, monkeypatch):
    (own_store / "notes.txt").write_text("mine")
    (own_store / "logits/dense/c/2/0").mkdir(parents=True)
    (own_store / "logits/dense/c/2/0/0").write_text("of a growth")

    @contextmanager
    def after_a_growth_made_room(path):
        manifest = read_manifest(path)
        train = manifest.parts["train"].model_copy(update={"views": 3})
        grow(path, manifest, manifest.model_copy(update={"parts": {**manifest.parts, "train": train}}))
        with writing(path):
            yield

    monkeypatch.setattr("cache_kd.repair.writing", after_a_growth_made_room)
    result = repair(own_store, device="cpu", remove_foreign=True)
    assert result.foreign == ("notes.txt",)
    assert (own_store / "logits/dense/c/2/0/0").exists()


def test_a_foreign_file_that_may_not_be_deleted_is_a_sentence(own_store, monkeypatch):
    (own_store / "notes.txt").write_text("of somebody else")

    def forbidden(file, missing_ok=False):
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(Path, "unlink", forbidden)
    with pytest.raises(StoreError, match=r"notes.txt cannot be written to \(Permission denied\)"):
        repair(own_store, device="cpu", remove_foreign=True)


def test_other_pixels_are_refused_before_anything_is_deleted(own_store, monkeypatch):
    flip(own_store / "logits/dense/c/0/1/0")
    damaged = files_of(own_store)
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)
    with pytest.raises(StoreMismatch, match=r"cannot be repaired here: 34 of 34 witness rows differ"):
        repair(own_store, device="cpu")
    for view in (0, 1):
        flip(own_store / f"witness/{view}.npy")
        damaged[f"witness/{view}.npy"] = (own_store / f"witness/{view}.npy").read_bytes()
    with pytest.raises(StoreMismatch, match="no witness is left, and digests of its rows differ"):
        repair(own_store, device="cpu")
    assert files_of(own_store) == damaged
    monkeypatch.undo()
    assert len(repair(own_store, device="cpu").same) == 3


def test_another_teacher_is_refused_and_labels_need_none(own_store, tmp_path):
    gone = tmp_path / "gone.safetensors"
    flip(own_store / "labels/c/0")
    flip(own_store / "witness/1.npy")
    assert repair(own_store, device="cpu", checkpoint=gone).rows == 0
    flip(own_store / "logits/dense/c/0/1/0")
    with pytest.raises(ModelError, match="no checkpoint at"):
        repair(own_store, device="cpu", checkpoint=gone)


def test_a_damaged_manifest_is_refused_with_the_mend(own_store):
    flip(own_store / "zarr.json", 500)
    with pytest.raises(StoreDamaged, match=r"manifest is damaged .* Restore that file from a copy"):
        repair(own_store, device="cpu")


def test_a_store_that_is_being_written_is_not_repaired(own_store):
    flip(own_store / "labels/c/0")
    with writing(own_store), pytest.raises(StoreBusy, match="another process is writing"):
        repair(own_store, device="cpu")


def test_verify_names_a_store_with_damaged_metadata_fault_by_fault(own_store):
    (own_store / "labels/zarr.json").unlink()
    flip(own_store / "witness/0.npy")
    faults = "\n".join(verify(own_store, device="cpu", deep=True).faults)
    assert "labels/zarr.json cannot be read" in faults
    assert "witness/0.npy has other bytes" in faults
