"""New runs of a comparison see what its old ones saw: the same store, and as many of its views."""

import pytest

from cache_kd.comparison.begun import agreeing
from cache_kd.comparison.grid import CompareConfig, cells_of
from cache_kd.errors import RunError
from cache_kd.progress import Silent
from cache_kd.rundir import RunFolder
from cache_kd.store.manifest import read_manifest
from cache_kd.train_config import lasting


class Words(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


@pytest.fixture
def store(stores):
    """Where it is, and its manifest: two views."""
    return stores["float16"], read_manifest(stores["float16"])


@pytest.fixture
def cells(store, tmp_path):
    def make(seeds, **run):
        config = CompareConfig(
            out=tmp_path / "cmp", store=(store[0],), student=("resnet8",), methods=("ce", "kd"), seeds=seeds, run=run
        )
        return cells_of(config)

    return make


def finish(cell, store_id, views):
    run = RunFolder.create(
        cell.config.out, lasting(cell.config.model_copy(update={"views": views})).model_dump(mode="json")
    )
    run.finish({"store_id": store_id})


def views_of(cells, path, manifest, progress=None):
    settled = agreeing(cells, {path.resolve().name: (path, manifest)}, progress or Silent())
    return [cell.config.views for cell in settled]


def grown(manifest):
    part = manifest.parts["train"].model_copy(update={"views": 4})
    return manifest.model_copy(update={"parts": {**manifest.parts, "train": part}})


def test_runs_of_a_store_that_stood_there_before_are_refused(cells, store):
    path, manifest = store
    finish(cells((0,))[0], "0123456789abcdef", 2)
    with pytest.raises(RunError, match=f"holds a run of the store 0123456789abcdef; .* is {manifest.store_id} now"):
        views_of(cells((0, 1)), path, manifest)


def test_a_run_that_was_begun_on_another_store_is_refused_too(cells, store):
    path, manifest = store
    first, *_ = cells((0,))
    run = RunFolder.create(first.config.out, first.config.model_dump(mode="json"))
    seen = '{"store_id": "0123456789abcdef", "teachers": [], "recipe": {}, "normalise": {}, "labels": ""}'
    run.save_state({}, {"seen": seen})
    with pytest.raises(RunError, match="holds a run of the store 0123456789abcdef"):
        views_of(cells((0, 1)), path, manifest)


def test_new_runs_show_as_many_views_as_those_that_were_there_before_the_store_grew(cells, store):
    path, manifest = store
    finish(cells((0,))[0], manifest.store_id, 2)
    words = Words()
    assert views_of(cells((0, 1)), path, grown(manifest), words) == [2, 2, 2, 2]
    assert "show 2 of its 4 views, and so will the new ones" in words.said[0]


def test_where_no_run_is_there_all_views_of_now_are_shown_by_all_of_them(cells, store):
    assert views_of(cells((0, 1)), store[0], grown(store[1])) == [4, 4, 4, 4]


def test_runs_that_show_different_numbers_of_views_are_not_set_side_by_side(cells, store):
    path, manifest = store
    for cell, views in zip(cells((0, 1))[::2], (2, 4), strict=True):
        finish(cell, manifest.store_id, views)
    with pytest.raises(RunError, match=r"ce-s0 shows 2; .*ce-s1 shows 4"):
        views_of(cells((0, 1)), path, grown(manifest))


def test_a_number_of_views_that_is_asked_for_is_held_against_what_is_there(cells, store):
    path, manifest = store
    finish(cells((0,))[0], manifest.store_id, 2)
    with pytest.raises(RunError, match=r"views = 2 \(asked for 1\)"):
        views_of(cells((0, 1), views=1), path, manifest)
