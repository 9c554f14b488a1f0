import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cache_kd.errors import RunError, SourceError
from cache_kd.rendering import Renderer, Rendering, Request, sensible_workers
from cache_kd.sources.arrays import array_source
from cache_kd.sources.open import open_source
from cache_kd.sources.source import SourceSpec
from cache_kd.views import digests, make_recipe

SAMPLES = np.arange(40)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """40 files of different sizes in two classes."""
    top = tmp_path_factory.mktemp("tree")
    drawn = np.random.default_rng(0)
    for number in range(40):
        folder = top / "train" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = drawn.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return open_source(SourceSpec(data=str(top)))


@pytest.fixture
def rendering(tree):
    return Rendering(sources={"train": tree}, recipe=make_recipe({"name": "rrc", "size": 16}), seed=5)


def requests(batch=7, view=0):
    return [Request("train", SAMPLES[at : at + batch], view, digested=True) for at in range(0, 40, batch)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_change_no_pixel_and_no_order(rendering, workers):
    whole = rendering(Request("train", SAMPLES, 0)).pixels
    with Renderer(rendering, workers) as renderer:
        for view in (1, 0):  # workers live on from one stream to the next
            rendered = list(renderer.views(requests(view=view)))
    assert torch.equal(torch.cat([batch.pixels for batch in rendered]), whole)
    np.testing.assert_array_equal(np.concatenate([batch.digests for batch in rendered]), digests(whole.numpy()))
    assert rendered[0].digests.dtype == np.uint32


def test_the_callers_generator_is_left_alone_by_workers(rendering):
    before = torch.get_rng_state()
    with Renderer(rendering, 1) as renderer:
        list(renderer.views(requests(batch=40)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stream_that_is_left_early_does_not_disturb_the_next(rendering):
    with Renderer(rendering, 1) as renderer:
        next(early := renderer.views(requests(batch=1, view=3)))
        early.close()
        rendered = list(renderer.views(requests()))
    expected = rendering(Request("train", SAMPLES, 0)).pixels
    assert torch.equal(torch.cat([batch.pixels for batch in rendered]), expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_stops_at_its_place_and_is_named(rendering, workers, tmp_path):
    for number in range(6):
        folder = tmp_path / "train" / "a"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20)).save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"no picture")
    source = open_source(SourceSpec(data=str(tmp_path)))
    broken = Rendering(sources={"train": source}, recipe=rendering.recipe, seed=0)
    with Renderer(broken, workers) as renderer:
        stream = renderer.views([Request("train", np.arange(2), 0), Request("train", np.arange(2, 6), 0)])
        next(stream)
        with pytest.raises(SourceError, match=r"4\.png") as caught:
            next(stream)
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_reported_in_one_sentence(tree):
    rendering = Rendering(
        sources={"train": tree}, recipe=make_recipe({"name": "replay", "function": f"{__name__}:end_me"}), seed=0
    )
    words = r"ended before its work was done.*fewer --workers.*if __name__ == \"__main__\""
    with Renderer(rendering, 1) as renderer, pytest.raises(RunError, match=words):
        list(renderer.views(requests()))


def end_me(picture):
    os.kill(os.getpid(), signal.SIGKILL)


def test_few_pictures_or_pictures_in_memory_need_no_workers(tree, images):
    assert sensible_workers(tree, make_recipe("rrc")) == 0
    assert sensible_workers(open_source(SourceSpec(data=str(images))), make_recipe("cifar")) == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what a process holds for itself")
def test_a_worker_shares_the_pixels_that_lie_in_memory():
    few, many = (_held_by_a_worker(np.full((count, 1000, 1000, 1), 7, dtype=np.uint8)) for count in (1, 200))
    assert many - few < 50  # of 200


def _held_by_a_worker(pixels):
    """Megabytes of its own, after it has shown a picture of value 7."""
    source = array_source(SourceSpec(data="memory"), pixels, np.zeros(len(pixels), dtype=np.int64))
    recipe = make_recipe({"name": "replay", "function": f"{__name__}:held_by_this_process"})
    with Renderer(Rendering(sources={"train": source}, recipe=recipe, seed=0), 1) as renderer:
        [rendered] = renderer.views([Request("train", np.array([len(pixels) - 1]), 0)])
    shown, high, low = rendered.pixels[0, 0, :, 0].tolist()
    assert shown == 7
    return high * 256 + low


def held_by_this_process(picture):
    """A value of the picture, then megabytes in two bytes."""
    [held] = re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return np.array([[picture.getpixel((0, 0)), *divmod(int(held) >> 10, 256)]], dtype=np.uint8)
