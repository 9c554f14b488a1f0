"""Pictures for whoever consumes them, rendered ahead: by a thread of this process or by worker processes."""

import multiprocessing
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cache_kd.ahead import ahead
from cache_kd.errors import KdCacheError, RunError
from cache_kd.sources.arrays import ArraySource
from cache_kd.sources.source import Source
from cache_kd.types import Digests, Samples, ViewTensor
from cache_kd.views import Recipe, digests
from cache_kd.views.recipe import CPU

# A worker starts in about a second once the first one has; a core decodes and crops some 600 pictures of 500x375
# in that time, so below this many the threads of one process have finished first.
WORTH_WORKERS = 10_000
MOST_WORKERS = 8
PREFETCH = 2  # batches that each worker has ready


class Request(NamedTuple):
    """Which pictures: one view of some samples of a part."""

    part: str
    samples: Samples
    view: int
    digested: bool = False  # whether the digests are wanted too


class Rendered(NamedTuple):
    """What was asked for."""

    pixels: ViewTensor
    digests: Digests | None


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How pictures are rendered: all that a worker process needs, and nothing that is open.

    Attributes:
        sources: the pictures of each part.
        recipe: how views of the part `train` are made; other parts are shown plain.
        seed: of the views.
        device: where the pixels are computed.
    """

    sources: Mapping[str, Source]
    recipe: Recipe
    seed: int
    device: torch.device = CPU

    def __call__(self, request: Request) -> Rendered:
        """Render in the calling thread.

        Raises:
            KdCacheError: a picture cannot be read or rendered.
        """
        source = self.sources[request.part]
        if request.part == "train":
            pixels = self.recipe.view(source, self.seed, request.samples, request.view, self.device)
        else:
            pixels = torch.from_numpy(np.ascontiguousarray(self.recipe.evaluate(source.images(request.samples))))
        return Rendered(pixels, digests(pixels.cpu().numpy()) if request.digested else None)


@dataclass
class Renderer(AbstractContextManager["Renderer"]):
    """Renders requests in their order, ahead of the consumer; a context manager that ends its workers.

    Attributes:
        rendering: what is rendered, and how.
        workers: processes; 0 for a thread of this process, or, where rendering takes the process's own random
            generators, for no thread at all: the consumer may draw from them too.
    """

    rendering: Rendering
    workers: int = 0
    _pool: "_Pool | None" = field(default=None, init=False, repr=False)

    def views(self, requests: Iterable[Request]) -> Iterator[Rendered]:
        """What each of `requests` asks for, in order. One such iterator at a time.

        Raises:
            KdCacheError: a picture cannot be read or rendered, at its place in the order.
            RunError: a worker process was ended from outside.
        """
        if self.workers:
            self._pool = self._pool or _Pool(self.rendering, self.workers)
            return self._pool.views(requests)
        rendered = (self.rendering(request) for request in requests)
        return rendered if self.rendering.recipe.takes_the_generators else ahead(rendered)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers."""
        self._pool = None


def sensible_workers(source: Source, recipe: Recipe) -> int:
    """Processes that rendering `source` gains from on this machine.

    None where pictures lie in memory and the recipe works on whole batches: handing the pixels from process to
    process then costs more than rendering them (0.5 to 0.8 times the speed at 32x32).
    """
    costly = not isinstance(source, ArraySource) or recipe.takes_the_generators
    return min(MOST_WORKERS, _cores()) if costly and len(source) >= WORTH_WORKERS else 0


class _Pool:
    """Worker processes that live on from one stream of requests to the next."""

    def __init__(self, rendering: Rendering, workers: int) -> None:
        # never by plain fork: a forked child would inherit locks and threads of torch, zarr and HDF5 mid-air
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload([__name__])
        self._waiting = _Waiting()
        with _any_number_of_workers():
            self._loader = DataLoader(
                _Answers(rendering),
                batch_size=None,
                sampler=self._waiting,
                num_workers=workers,
                collate_fn=_as_it_is,
                multiprocessing_context=context,
                prefetch_factor=PREFETCH,
                persistent_workers=True,
                generator=torch.Generator(),  # of its own: it would draw from the caller's
            )

    def views(self, requests: Iterable[Request]) -> Iterator[Rendered]:
        self._waiting.requests = requests
        try:
            with _any_number_of_workers():
                answers = iter(self._loader)
            for answer in answers:
                if isinstance(answer, KdCacheError):
                    raise answer
                pixels, found = answer
                yield Rendered(pixels, None if found is None else found.numpy().astype(np.uint32))
        except RuntimeError as fault:
            if "exited unexpectedly" not in str(fault):
                raise
            raise RunError(
                f"A worker process that renders pictures was ended from outside ({fault}). Most often the machine "
                "ran out of memory, or of shared memory (/dev/shm): try fewer --workers, or --workers 0."
            ) from None


class _Waiting:
    """The requests of the moment, as what a DataLoader takes its indices from."""

    requests: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)


class _Answers(Dataset[object]):
    """Answers requests in a worker process."""

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

    def __getitem__(self, request: Request) -> object:
        """Tensors, which travel through shared memory; an error for users travels as a value, without a traceback."""
        try:
            pixels, found = self._rendering(request)
        except KdCacheError as fault:
            return fault
        # uint32 tensors cannot be shared by older torch, int64 can
        return pixels, None if found is None else torch.from_numpy(found.astype(np.int64))


@contextmanager
def _any_number_of_workers() -> Iterator[None]:
    """More workers than cores are the user's choice, made by number: no warning about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def _as_it_is(answer: object) -> object:
    return answer


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
