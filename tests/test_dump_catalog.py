"""A dump into a catalog uses what is there: complete, to grow or to finish; else it gets a place of its own."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cache_kd.cli.main import main
from cache_kd.config import load
from cache_kd.dump import DumpConfig, dump
from cache_kd.errors import ConfigError, StoreError
from cache_kd.models.teacher import Teacher
from cache_kd.store.catalog import place_for
from cache_kd.store.manifest import _store_ids, read_manifest, root_file


@pytest.fixture
def catalog_config(dump_config, tmp_path):
    """A function that makes a DumpConfig for a catalog."""
    return lambda **changes: dump_config(None, catalog=tmp_path / "catalog", **changes)


@pytest.fixture
def shared(own_store, tmp_path) -> Path:
    """A finished store under somebody else's name, two folders down in the catalog."""
    return Path(shutil.move(own_store, tmp_path / "catalog" / "ada" / "my first store"))


def files_of(root):
    return {file: file.read_bytes() for file in root.rglob("*") if file.is_file() and file.name != "writing.lock"}


def test_an_empty_catalog_gets_a_store_named_by_teacher_and_id(catalog_config, tmp_path):
    result = dump(catalog_config(views=1))
    assert result.store == str(tmp_path / "catalog" / f"resnet8x0.5-{result.store_id}")
    assert result.computed_rows == 640
    again = dump(catalog_config(views=1))
    assert (again.store, again.computed_rows) == (result.store, 0)


def test_a_store_of_the_same_numbers_is_a_hit_whatever_its_name(catalog_config, shared, tmp_path, monkeypatch):
    before = files_of(tmp_path / "catalog")
    monkeypatch.setattr(Teacher, "logits", None)  # nobody asks the teacher
    for views in (1, 2):
        result = dump(catalog_config(views=views))
        assert (result.store, result.computed_rows, result.views) == (str(shared), 0, 2)
    assert files_of(tmp_path / "catalog") == before


def test_stores_are_compared_by_content_not_by_id(catalog_config, shared):
    """As those of version 2, whose ids were made otherwise."""
    manifest = read_manifest(shared)
    other = _store_ids(manifest)[1]
    assert other != manifest.store_id
    for record in (shared / "done").iterdir():
        record.write_text(record.read_text().replace(manifest.store_id, other))
    (shared / "zarr.json").write_bytes(root_file(manifest.model_copy(update={"store_id": other})))
    result = dump(catalog_config())
    assert (result.store, result.store_id, result.computed_rows) == (str(shared), other, 0)


def test_one_with_fewer_views_grows_where_it_is(catalog_config, shared):
    result = dump(catalog_config(views=3))
    assert (result.store, result.computed_rows, result.views) == (str(shared), 512, 3)


def test_an_unfinished_one_is_continued_unless_another_is_finished(catalog_config, shared, tmp_path):
    finished = Path(shutil.copytree(shared, tmp_path / "catalog" / "zoe"))
    (shared / "done" / "train.1.1.json").unlink()
    assert dump(catalog_config()).store == str(finished)
    shutil.rmtree(finished)
    result = dump(catalog_config())
    assert (result.store, result.computed_rows) == (str(shared), 128)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"recipe": "none"}, {"codec": "float32"}])
def test_another_store_is_no_hit(catalog_config, shared, changes):
    result = dump(catalog_config(views=1, **changes))
    assert result.computed_rows == 640
    assert Path(result.store).parent == shared.parents[1]


def test_a_damaged_manifest_beside_it_is_passed_over(catalog_config, shared, tmp_path):
    other = Path(shutil.copytree(shared, tmp_path / "catalog" / "aa"))
    (other / "zarr.json").write_bytes((other / "zarr.json").read_bytes().replace(b'"seed": 0', b'"seed": 7'))
    assert dump(catalog_config()).store == str(shared)


def test_the_catalog_may_be_the_store_itself_but_no_other(dump_config, own_store):
    assert dump(dump_config(None, catalog=own_store)).computed_rows == 0
    with pytest.raises(StoreError, match=r"is a store of something else\. --catalog takes the folder that holds"):
        dump(dump_config(None, catalog=own_store, seed=1))


def test_a_function_as_a_teacher_gives_a_name_without_slashes(describe_name):
    assert describe_name("mine.models:big/net") == "mine.models-big-net"


@pytest.fixture
def describe_name(own_store, tmp_path):
    """A function of a teacher's name: how its store in an empty catalog begins."""
    manifest = read_manifest(own_store)

    def name(teacher):
        asked = manifest.model_copy(update={"teacher": manifest.teacher.model_copy(update={"name": teacher})})
        return place_for(tmp_path / "nowhere", asked).name.removesuffix(f"-{manifest.store_id}")

    return name


def test_store_and_catalog_exclude_each_other(dump_config):
    given = {
        key: value for key, value in dump_config(None, catalog=Path("c")).model_dump().items() if value is not None
    }
    with pytest.raises(ConfigError, match=r"--store s and --catalog c exclude each other.*Leave one out"):
        load(DumpConfig, None, given | {"store": "s"})
    with pytest.raises(ConfigError, match=r"neither --store PATH nor --catalog ROOT"):
        load(DumpConfig, None, {key: value for key, value in given.items() if key != "catalog"})


def test_the_command_prints_the_path_of_the_hit(shared, images, teacher_weights, tmp_path):
    command = [
        "dump", "--data", str(images), "--teacher", "resnet8x0.5", "--checkpoint", str(teacher_weights), "--views", "2",
        "--device", "cpu", "--batch-size", "32",
    ]  # fmt: skip
    result = CliRunner().invoke(main, [*command, "--catalog", str(tmp_path / "catalog")])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{shared}  ")
    assert "already there" in result.stdout
    result = CliRunner().invoke(main, [*command, "--catalog", str(tmp_path / "catalog"), "--json"])
    assert json.loads(result.stdout)["store"] == str(shared)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "neither --store PATH nor --catalog ROOT says where to write" in result.stderr
