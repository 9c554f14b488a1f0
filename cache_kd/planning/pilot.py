"""A teacher asked about a few thousand views, each once and timed, before anything is dumped."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from cache_kd.asking import check_logits
from cache_kd.errors import ConfigError, ModelError
from cache_kd.keyed.row_order import samples_at
from cache_kd.models.features import Penultimate
from cache_kd.models.teacher import Teacher
from cache_kd.planning.estimate import Speed
from cache_kd.progress import Advance
from cache_kd.rendering import Rendered, Renderer, Request
from cache_kd.store.codec import Answers, LastLayer
from cache_kd.types import Features, Logits, Samples, ViewTensor


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What the teacher said, on the CPU, in two halves that share no sample.

    Attributes:
        fitting: for codecs that are fitted to their teacher.
        measuring: for everything that is reported.
        features: what the teacher's last layer takes; None where it has no linear one.
        view_bytes: pixels of a view.
        speed: of this machine.
    """

    fitting: Answers
    measuring: Answers
    features: int | None
    view_bytes: int
    speed: Speed


def run_pilot(
    teacher: Teacher, renderer: Renderer, *, seed: int, views: int, size: int, batch_size: int, advance: Advance
) -> Pilot:
    """Ask the teacher about the training samples that stand first in a store of `seed`, in as many views as it takes.

    The fitting half is rendered and asked in turns, so that each can be timed; the measuring half as a dump does it,
    rendered ahead. The first batch of each half warms up and is not timed where there are more.

    Args:
        teacher: who is asked.
        renderer: of the part `train`.
        seed: of the store's row order.
        views: at most, of each sample; more than one are asked for only where there are fewer samples than `size`.
        size: views in all, about; >= 2.
        batch_size: pictures per forward pass.
        advance: told of every batch.

    Raises:
        ConfigError: there is only one sample.
        ModelError: the teacher gives another number of logits, NaN or infinity.
        KdCacheError: a picture cannot be read or rendered.
    """
    source = renderer.rendering.sources["train"]
    if len(source) < 2:
        raise ConfigError("A pilot has two halves, which share no image; the data has only one. Add images.")
    samples = samples_at(seed, np.arange(min(size, len(source)), dtype=np.int64), len(source))
    views = min(views, -(-size // len(samples)))
    labels = torch.from_numpy(source.labels())
    halves = [list(_requests(half, views, batch_size)) for half in np.array_split(samples, 2)]
    watched = _last_layer(teacher, renderer.rendering(halves[0][0]).pixels[:2])
    in_turns = (renderer.rendering(request) for request in halves[0])
    fitting = _ask(teacher, watched, halves[0], in_turns, source.classes, advance)
    ahead = renderer.ahead(renderer.views(halves[1]))
    measuring = _ask(teacher, watched, halves[1], ahead, source.classes, advance)
    return Pilot(
        fitting=Answers(fitting.logits, labels[_samples(halves[0])], fitting.last_layer),
        measuring=Answers(measuring.logits, labels[_samples(halves[1])], measuring.last_layer),
        features=watched.size if watched else None,
        view_bytes=fitting.view_bytes,
        speed=Speed(
            render=fitting.waited,
            teacher=fitting.asked,
            # what workers had ready before the clock began makes a short pilot look faster than either half can be
            dump=max(measuring.waited + measuring.asked, fitting.asked, fitting.waited / max(renderer.workers, 1)),
        ),
    )


def _requests(samples: Samples, views: int, batch_size: int) -> Iterator[Request]:
    for view in range(views):
        for start in range(0, len(samples), batch_size):
            yield Request("train", samples[start : start + batch_size], view)


def _samples(requests: Iterable[Request]) -> Samples:
    return np.concatenate([request.samples for request in requests])


def _last_layer(teacher: Teacher, pixels: ViewTensor) -> Penultimate | None:
    """What shows the teacher's last layer; None where it is not a linear one, as some codecs want."""
    try:
        return teacher.penultimate(pixels)
    except ModelError:
        return None


class _Asked(NamedTuple):
    """What came of one half; seconds are for a view."""

    logits: Logits
    last_layer: LastLayer | None
    waited: float  # for its pixels
    asked: float  # the teacher
    view_bytes: int


def _ask(
    teacher: Teacher,
    watched: Penultimate | None,
    requests: Sequence[Request],
    rendered: Iterable[Rendered],
    classes: int,
    advance: Advance,
) -> _Asked:
    """The teacher's answers to all `requests`, whose pictures are `rendered`."""
    logits: list[Logits] = []
    features: list[Features] = []
    marks: list[tuple[float, float, int]] = []  # seconds waited, seconds asked, views; of each batch
    began = time.perf_counter()
    for request, batch in zip(requests, rendered, strict=True):
        ready = time.perf_counter()
        logits.append(teacher.logits(batch.pixels).cpu())  # the copy waits for the device
        done = time.perf_counter()
        check_logits(logits[-1], classes, request.part, request.view, request.samples)
        if watched:
            features.append(watched.features.float().cpu())
        marks.append((ready - began, done - ready, len(batch.pixels)))
        advance(len(batch.pixels))
        view_bytes = batch.pixels[0].numel()
        began = time.perf_counter()
    waited, asked, count = (sum(each) for each in zip(*(marks[1:] or marks), strict=True))
    last_layer = LastLayer(torch.cat(features), watched.weight.cpu(), watched.bias.cpu()) if watched else None
    return _Asked(torch.cat(logits), last_layer, waited / count, asked / count, view_bytes)
