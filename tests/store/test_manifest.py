import json
import re
import shlex

import pytest

from cache_kd.errors import StoreDamaged, StoreError, StoreIncomplete
from cache_kd.store.arrays import metadata_files
from cache_kd.store.manifest import NO_PART_NAMES, differences, read_manifest, root_file
from cache_kd.store.record import pieces


@pytest.fixture
def place(tmp_path):
    """A function that puts a root file into a folder."""

    def put(content: bytes):
        (tmp_path / "zarr.json").write_bytes(content)
        return tmp_path

    return put


def test_a_manifest_comes_back_as_it_was(describe, place):
    manifest = describe()
    assert read_manifest(place(root_file(manifest))) == manifest


def test_the_id_is_the_content(describe):
    assert describe().store_id == describe().store_id
    changes = [
        {"seed": 1}, {"recipe": {"name": "cifar", "pad": 2}}, {"codec": "float16"}, {"train": 65}, {"test": None},
        {"teacher": {"fingerprint": "other"}}, {"teacher": {"name": "resnet14"}}, {"teacher": {"precision": "bf16"}},
        {"teacher": {"normalise": {"mean": [0.5], "std": [0.5]}}},
        {"fingerprints": {"train": "other", "test": "images of test"}},
    ]  # fmt: skip
    ids = [describe().store_id, *(describe(**change).store_id for change in changes)]
    assert len(set(ids)) == len(ids)


def test_views_places_and_versions_do_not_change_the_id(describe):
    changes = [
        {"views": 8}, {"environment": {"torch": "9"}}, {"source_spec": {"data": "moved.h5"}}, {"class_names": None},
        {"teacher": {"checkpoint": "/moved.safetensors"}},
    ]  # fmt: skip
    assert {describe(**change).store_id for change in changes} == {describe().store_id}


def test_differences_are_named_with_both_sides(describe):
    found = differences(describe(), describe(seed=3, recipe={"name": "none"}))
    assert found == [("recipe.name", "cifar", "none"), ("recipe.pad", 4, None), ("seed", 0, 3)]
    assert differences(describe(), describe(views=7)) == []


def test_a_version_from_the_future_is_refused_politely(describe, place):
    content = root_file(describe()).replace(b'"version": 3,\n      "store_id"', b'"version": 4,\n      "store_id"')
    with pytest.raises(StoreError, match=r"version 4; this release reads versions 2 to 3. Upgrade"):
        read_manifest(place(content))


def test_a_store_from_before_the_witnesses_is_refused_politely(describe, place):
    content = root_file(describe()).replace(b'"version": 3,\n      "store_id"', b'"version": 1,\n      "store_id"')
    with pytest.raises(StoreError, match=r"of version 1, made before .* Dump again to another --store\."):
        read_manifest(place(content))


def test_no_flipped_bit_is_taken_for_a_manifest(describe, place):
    manifest = describe()
    content = root_file(manifest)
    for position in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        try:
            found = read_manifest(place(bytes(flipped)))
        except StoreError:
            continue
        assert found == manifest, position


def test_a_manifest_whose_values_were_edited_is_damaged(describe, place):
    group = json.loads(root_file(describe()))
    group["attributes"]["cache_kd"]["seed"] = 5
    with pytest.raises(StoreDamaged, match=r"zarr.json: the manifest is damaged \(its digest"):
        read_manifest(place(json.dumps(group).encode()))


@pytest.mark.parametrize("part", ["../../evil", "/etc/evil", "a/evil", "a\\evil", "", ".", "test\n", "labels", "done"])
def test_a_part_whose_folder_would_lie_outside_or_hold_something_else_is_refused(describe, place, part):
    manifest = describe()
    parts = {"train": manifest.parts["train"], part: manifest.parts["test"]}
    hostile = manifest.model_copy(update={"parts": parts})
    with pytest.raises(StoreDamaged, match=re.escape(f"a part is called {part!r}; expected letters, digits, - and _")):
        read_manifest(place(root_file(hostile)))


def test_the_names_that_no_part_may_have_are_those_of_the_folders_of_a_store(describe):
    manifest = describe(codec="float16", knobs=3)
    files = [*metadata_files(manifest), *(file for piece in pieces(manifest) for file in (piece.record, *piece.files))]
    assert {file.split("/")[0] for file in files} == {*NO_PART_NAMES, "test"}


def test_what_is_no_store_is_said_to_be_none(tmp_path, place):
    with pytest.raises(StoreError, match=r"nowhere does not exist.*kdcache dump"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"is a folder, but not a store: it has no zarr.json"):
        read_manifest(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        read_manifest(tmp_path / "file")
    with pytest.raises(StoreError, match="is Zarr, but not a store of cache_kd"):
        read_manifest(place(b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'))
    (tmp_path / "zarr.json").unlink()
    (tmp_path / "creating.json").write_text("{}")
    with pytest.raises(StoreIncomplete, match=r"interrupted at the very start. Run the same dump again"):
        read_manifest(tmp_path)


def test_the_dump_command_names_everything_that_decides(describe, tmp_path):
    command = describe().dump_command(tmp_path / "a store")
    assert command.startswith("kdcache dump --data images.h5 --teacher resnet8 --checkpoint /weights.safetensors")
    assert "--seed 0 --views 2 --codec float32" in command
    assert command.endswith(f"--store '{tmp_path}/a store'")
    knobs = {"name": "uint8", "top_step": 0.25, "version": 1}
    command = describe(codec=knobs).dump_command(tmp_path)
    assert json.loads(shlex.split(command)[shlex.split(command).index("--codec") + 1]) == knobs
