"""Pictures for whoever consumes them, rendered here or by worker processes, ahead of the consumer where it can be."""

import multiprocessing
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cache_kd.ahead import ahead
from cache_kd.errors import ConfigError, KdCacheError, RunError
from cache_kd.shared_pixels import SharedPixels
from cache_kd.sources.arrays import ArraySource
from cache_kd.sources.source import Source
from cache_kd.threads import usable_cores
from cache_kd.types import Digests, Samples, ViewTensor
from cache_kd.views import Recipe, digests
from cache_kd.views.recipe import CPU

Item = TypeVar("Item")
RenderOn = Literal["cpu", "device"]

# A worker starts in about a second once the first one has; a core decodes and crops some 600 pictures of 500x375
# in that time, so below this many the threads of one process have finished first.
WORTH_WORKERS = 10_000
MOST_WORKERS = 8
PLAIN_BATCH = 512
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
    """Renders requests in their order; a context manager that ends its workers.

    Attributes:
        rendering: what is rendered, and how.
        workers: processes; 0 to render in this one.
    """

    rendering: Rendering
    workers: int = 0
    _pool: "_Pool | None" = field(default=None, init=False, repr=False)

    def views(self, requests: Iterable[Request]) -> Iterator[Rendered]:
        """What each of `requests` asks for, in order. One such iterator at a time.

        Raises:
            KdCacheError: a picture cannot be read or rendered, at its place in the order.
            RunError: a worker process ended before its work was done.
        """
        if self.workers:
            self._pool = self._pool or _Pool(self.rendering, self.workers)
            return self._pool.views(requests)
        return (self.rendering(request) for request in requests)

    def plain(self, part: str, *, first: int = 0, every: int = 1) -> Iterator[ViewTensor]:
        """The plain view of every sample of a part in order, batch by batch, made ahead.

        Args:
            part: of the data.
            first: number of the batch to begin with, from 0.
            every: 2 leaves out every other batch, and so on.
        """
        samples = len(self.rendering.sources[part])
        requests = (
            Request(part, np.arange(start, min(start + PLAIN_BATCH, samples)), 0)
            for start in range(first * PLAIN_BATCH, samples, every * PLAIN_BATCH)
        )
        return self.ahead(rendered.pixels for rendered in self.views(requests))

    def ahead(self, items: Iterable[Item]) -> Iterator[Item]:
        """`items` that are made from this renderer's views, made in advance by a thread where that is safe.

        It is not where this process renders with its own random generators: the consumer may draw from them too.
        """
        if not self.workers and self.rendering.recipe.takes_the_generators:
            return iter(items)
        return ahead(items)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers."""
        self._pool = None


def open_renderer(
    sources: Mapping[str, Source],
    recipe: Recipe,
    *,
    seed: int,
    workers: int | None = None,
    render: RenderOn = "cpu",
    device: torch.device = CPU,
) -> Renderer:
    """A renderer as a config asks for it.

    Args:
        sources: the pictures of each part.
        recipe: how views are made.
        seed: of the views.
        workers: processes; None for as many as the training images gain from.
        render: whether views are computed on the CPU or where the model is.
        device: where the model is.

    Raises:
        ConfigError: the recipe, or rendering in workers, is tied to the CPU.
    """
    place = device if render == "device" else CPU
    if place.type != "cpu" and recipe.cpu_only:
        raise ConfigError(
            f"--render device: the recipe {recipe.name!r} is rendered by an image library or by a function of yours, "
            f"so not on {place}. Leave --render at cpu."
        )
    if place.type != "cpu" and workers:
        raise ConfigError(f"--render device renders on {place} in this process; leave out --workers {workers}.")
    if workers is None:
        workers = 0 if place.type != "cpu" else sensible_workers(sources["train"], recipe)
    return Renderer(Rendering(sources=sources, recipe=recipe, seed=seed, device=place), workers)


def sensible_workers(source: Source, recipe: Recipe) -> int:
    """Processes that rendering `source` gains from on this machine.

    None where pictures lie in memory and the recipe works on whole batches: handing the pixels from process to
    process then costs more than rendering them (0.5 to 0.8 times the speed at 32x32).
    """
    costly = not isinstance(source, ArraySource) or recipe.takes_the_generators
    return min(MOST_WORKERS, usable_cores()) if costly and len(source) >= WORTH_WORKERS else 0


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
                _Answers(rendering, context),
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
                f"A worker process that renders pictures ended before its work was done ({fault}). Most often the "
                "machine ran out of memory, or of shared memory (/dev/shm): try fewer --workers, or --workers 0. A "
                'script of your own that asks for workers has to start its work under `if __name__ == "__main__":`.'
            ) from None


class _Waiting:
    """The requests of the moment, as what a DataLoader takes its indices from."""

    requests: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)


class _Answers(Dataset[object]):
    """Answers requests in a worker process; pixels in memory are not sent to it but shared with it."""

    def __init__(self, rendering: Rendering, context: BaseContext) -> None:
        in_memory = {part: source for part, source in rendering.sources.items() if isinstance(source, ArraySource)}
        self._pixels = {part: SharedPixels(source.pixels, context) for part, source in in_memory.items()}
        emptied = {part: replace(source, pixels=source.pixels[:0]) for part, source in in_memory.items()}
        self._sent = replace(rendering, sources={**rendering.sources, **emptied})

    @cached_property
    def _rendering(self) -> Rendering:
        """What was sent, with its pixels again; asked for by the worker only."""
        sources = {
            part: replace(source, pixels=self._pixels[part].array()) if isinstance(source, ArraySource) else source
            for part, source in self._sent.sources.items()
        }
        return replace(self._sent, sources=sources)

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
