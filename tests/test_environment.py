"""A store that was dumped with other libraries or on another device: said once, refused only where pixels differ."""

import pytest
from click.testing import CliRunner

from cache_kd.cli.main import main
from cache_kd.dump import dump
from cache_kd.environment import changes
from cache_kd.errors import OtherEnvironment, PixelDrift, StoreMismatch
from cache_kd.opened import open_store
from cache_kd.store.manifest import read_manifest, root_file
from cache_kd.verify import verify
from cache_kd.views.cifar import Cifar


@pytest.fixture
def dumped_with(own_store):
    """A function that lets the store say it was dumped with other things."""

    def rewrite(**other):
        manifest = read_manifest(own_store)
        environment = manifest.environment | other
        (own_store / "zarr.json").write_bytes(root_file(manifest.model_copy(update={"environment": environment})))
        return own_store

    return rewrite


def only_one(caught) -> str:
    """The one warning of another environment, which is one line."""
    said = [str(entry.message) for entry in caught if entry.category is OtherEnvironment]
    assert len(said) == 1
    assert "\n" not in said[0]
    return said[0]


def render_otherwise(monkeypatch):
    original = Cifar.render
    monkeypatch.setattr(Cifar, "render", lambda self, pictures, knobs: original(self, pictures, knobs) ^ 1)


def test_an_open_store_names_both_versions_once_and_goes_on(dumped_with):
    store = open_store(dumped_with(torch="2.13.0", device="cuda"))
    with pytest.warns(OtherEnvironment) as caught:
        batches = [list(store.loader(epoch, batch_size=256, check="all")) for epoch in range(2)]
    assert f"{store.reader.path}: torch 2." in only_one(caught)
    assert "here, 2.13.0 at the dump. Its pixels are compared." in only_one(caught)
    assert "device" not in only_one(caught)  # no teacher runs, and no pixel depends on it
    assert [len(of_epoch) for of_epoch in batches] == [2, 2]
    assert store.verdict.kind == "exact"


def test_the_pixels_decide_where_a_store_is_opened(dumped_with, monkeypatch):
    store = open_store(dumped_with(pillow="1.0"))
    render_otherwise(monkeypatch)
    with pytest.warns(OtherEnvironment), pytest.warns(PixelDrift, match=r"Changed since the dump: pillow .* 1\.0 at"):
        assert store.verdict.kind == "drift"


def test_a_growing_dump_names_versions_and_device(dumped_with, dump_config):
    path = dumped_with(torch="2.13.0", device="cuda", zarr="1.0", threads="64")
    with pytest.warns(OtherEnvironment) as caught:
        assert dump(dump_config(path, views=3)).computed_rows == 512
    words = only_one(caught)
    assert "device cpu here, cuda at the dump" in words
    assert "2.13.0 at the dump" in words
    assert "zarr" not in words
    assert "threads" not in words


def test_a_resumed_dump_names_them_too_and_the_pixels_decide(dumped_with, dump_config, monkeypatch):
    path = dumped_with(numpy="1.0")
    (path / "done" / "train.1.1.json").unlink()
    render_otherwise(monkeypatch)
    with pytest.warns(OtherEnvironment), pytest.raises(StoreMismatch, match="must not meet in one store"):
        dump(dump_config(path))
    monkeypatch.undo()
    with pytest.warns(OtherEnvironment, match=r"numpy .* here, 1\.0 at the dump"):
        assert dump(dump_config(path)).computed_rows == 128


def test_a_finished_store_has_nothing_to_compare(dumped_with, dump_config):
    assert dump(dump_config(dumped_with(torch="2.13.0"))).computed_rows == 0  # a warning would be an error here


def test_verify_names_them_and_holds_by_the_pixels(dumped_with):
    with pytest.warns(OtherEnvironment) as caught:
        assert verify(dumped_with(torch="2.13.0", device_name="Z80"), rows=20, device="cpu").holds
    assert "Z80 at the dump" in only_one(caught)


def test_the_command_line_says_it_in_a_line(dumped_with):
    path = dumped_with(torch="2.13.0")
    result = CliRunner().invoke(main, ["verify", str(path), "--rows", "20", "--device", "cpu"])
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert line.endswith("here, 2.13.0 at the dump. Its pixels are compared.")


def test_what_only_one_side_knows_is_no_change():
    assert changes({"torch": "2"}, {"torch": "2", "libjpeg_turbo": "3"}) == []
    assert changes({"batch_size": "7"}, {}) == []
